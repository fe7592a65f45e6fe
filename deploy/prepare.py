"""What Django has to do before the parts can serve: schema, static files, administrator, mailboxes.

Run by the appliance as a process of its own, once a start; it does only what is not done yet.
"""

import hashlib
import os
import secrets
import socket
import sys
from pathlib import Path

import django
import redis
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor

from courierweb.environment import Environment
from deploy.console import CannotStart, say

ADMINISTRATOR = "admin"
OWN_MAILBOXES = ("postmaster", "selftest")


def main() -> None:
    os.umask(0o077)
    django.setup()
    environment: Environment = settings.ENVIRONMENT
    try:
        check_broker()
        check_database()
        migrate()
        collect_static(Path(settings.STATIC_ROOT))
        make_administrator(environment)
        make_own_domain(environment.hostname)
        forget_heartbeats()
    except CannotStart as error:
        sys.exit(f"deploy/run: {error}")
    except Error as error:
        sys.exit(f"deploy/run: the database refuses: {_one_line(error)}")


def check_broker() -> None:
    try:
        with redis.Redis.from_url(str(settings.RQ_QUEUES["default"]["URL"])) as broker:
            broker.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        raise CannotStart(f"CELERY_BROKER_URL: the broker refuses: {_one_line(error)}") from error


def check_database() -> None:
    try:
        connection.ensure_connection()
    except Error as error:
        raise CannotStart(f"DATABASE_URL: the database refuses: {_one_line(error)}") from error


def migrate() -> None:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        say(f"bringing the database schema up to date ({len(plan)} migrations)")
        call_command("migrate", interactive=False, verbosity=0)


def collect_static(target: Path) -> None:
    """Copy the console's static files to HOME/static, when the sources have changed."""
    stamp = target / ".collected"
    state = _fingerprint_of_static()
    if stamp.exists() and stamp.read_text() == state:
        return
    say("collecting the console's static files")
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(state)


def _fingerprint_of_static() -> str:
    """Changes when our own static files change or another set of packages is installed."""
    digest = hashlib.sha256((settings.BASE_DIR / "requirements.txt").read_bytes())
    for directory in settings.STATICFILES_DIRS:
        for path in sorted(Path(directory).rglob("*")):
            found = path.stat()
            digest.update(f"{path} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def make_administrator(environment: Environment) -> None:
    """The user admin, with the password of COURIERWEB_ADMIN_PASSWORD or a generated one.

    A generated password is kept in HOME/admin_password (mode 0600) to be shown again, until
    another one is set by the variable or in the console.
    """
    users = get_user_model()._default_manager
    shown = environment.home / "admin_password"
    user = users.filter(username=ADMINISTRATOR).first()
    if environment.admin_password:
        password = environment.admin_password
        shown.unlink(missing_ok=True)
    elif user is None:
        password = secrets.token_urlsafe(12)
        shown.touch(mode=0o600)
        shown.write_text(password)
    else:
        if shown.exists() and not user.check_password(shown.read_text()):
            shown.unlink()
        return
    if user is None:
        users.create_superuser(ADMINISTRATOR, "", password)
    elif not user.check_password(password):
        user.set_password(password)
        user.save(update_fields=["password"])


def make_own_domain(hostname: str) -> None:
    """Our name as a domain, with the postmaster every domain must have (RFC 5321 section 4.5.1)
    and the mailbox of the self-test, into which nobody can sign in."""
    # The models can be imported only after django.setup().
    from mta.models import Domain, Mailbox  # noqa: PLC0415

    domain, _ = Domain.objects.get_or_create(name=hostname)
    if domain.kind == Domain.Kind.HOSTED:
        for name in OWN_MAILBOXES:
            Mailbox.objects.get_or_create(domain=domain, local_part=name)


def forget_heartbeats() -> None:
    """Nothing of ours runs yet: what a killed run has left must not pass for signs of life."""
    from mta.models import Heartbeat  # noqa: PLC0415

    Heartbeat.objects.filter(host=socket.gethostname()).delete()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    main()
