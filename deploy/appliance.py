"""The whole appliance in one foreground process; main() is its table of contents."""

import os
import sys
import time
from dataclasses import replace

import psycopg

from courierweb.environment import BadEnvironment, Environment, load
from deploy import certificate, home, logs, parts, postgres, sockets, valkey
from deploy.console import CannotStart, say
from deploy.supervisor import Part, StopRequested, Supervisor

# A crash recovery may have to replay up to max_wal_size.
DATABASE_WITHIN = 120.0
REMAINS_GONE_WITHIN = 5.0


def main() -> int:
    os.umask(0o077)
    try:
        environment = load(remembered=False)
        home.make(environment.home)
        with home.Lock(environment.home) as lock:
            check_ports(environment, was_killed=lock.was_killed)
            servers, environment = choose_servers(environment)
            home.remember(environment)
            make_certificate(environment)
            try:
                with Supervisor() as supervisor:
                    run(supervisor, servers, environment)
            finally:
                sockets.remove_directories(environment.home)
    except (BadEnvironment, CannotStart) as error:
        print(f"deploy/run: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def run(supervisor: Supervisor, servers: list[Part], environment: Environment) -> None:
    """From the first server to the last, until somebody stops it. Raises CannotStart."""
    begin = time.monotonic()
    try:
        start_servers(supervisor, servers, environment)
        prepare(supervisor, environment)
        start_parts(supervisor, environment)
        summarize(environment)
        self_test(supervisor, environment)
        say(f"running after {time.monotonic() - begin:.1f} s; Ctrl-C stops it")
        supervisor.watch()
    except StopRequested as request:
        begin = time.monotonic()
        say(f"stopping ({request})")
        supervisor.stop()
        say(f"stopped in {time.monotonic() - begin:.1f} s")


def check_ports(environment: Environment, was_killed: bool) -> None:
    ports = {
        "COURIERWEB_HTTP_PORT": environment.http_port,
        "COURIERWEB_SMTP_PORT": environment.smtp_port,
        "COURIERWEB_SUBMISSION_PORT": environment.submission_port,
        "COURIERWEB_SMTPS_PORT": environment.smtps_port,
        "COURIERWEB_SIEVE_PORT": environment.sieve_port,
    }
    sockets.check_ports(ports, patience=REMAINS_GONE_WITHIN if was_killed else 0.0)


def choose_servers(environment: Environment) -> tuple[list[Part], Environment]:
    """The private servers that no variable replaces, and where everything will answer."""
    servers: list[Part] = []
    if not environment.broker_url:
        part, url = valkey.part(environment.home)
        servers.append(part)
        environment = replace(environment, broker_url=url)
    if not environment.database_url:
        cluster = postgres.prepare(environment.home)
        servers.append(cluster.part())
        environment = replace(environment, database_url=cluster.url)
    return servers, environment


def start_servers(supervisor: Supervisor, servers: list[Part], environment: Environment) -> None:
    for part in servers:
        supervisor.start(part)
    for part in servers:
        if part.name == postgres.NAME:
            wait_for_postgres(supervisor, part, environment.database_url)


def wait_for_postgres(supervisor: Supervisor, part: Part, url: str) -> None:
    supervisor.wait_until(
        lambda: _answers(url) or supervisor.deaths(part.name) > 3, DATABASE_WITHIN
    )
    if not _answers(url):
        raise CannotStart(f"PostgreSQL does not start: {logs.last_line(part.log)} ({part.log})")
    say("PostgreSQL answers")


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def make_certificate(environment: Environment) -> None:
    if certificate.ensure(environment.home / "tls", environment.hostname):
        say(f"made a self-signed certificate for {environment.hostname}")


def prepare(supervisor: Supervisor, environment: Environment) -> None:
    """Let Django do its share. It says itself what is wrong, so nothing is added to that."""
    variables = parts.variables(environment)
    if environment.admin_password:
        variables["COURIERWEB_ADMIN_PASSWORD"] = environment.admin_password
    status = supervisor.run([sys.executable, "-m", "deploy.prepare"], variables)
    if status:
        sys.exit(status)


def start_parts(supervisor: Supervisor, environment: Environment) -> None:
    sockets.make_submit_directory(environment.home)
    for part in parts.all_parts(environment):
        supervisor.start(part)
    say("started " + ", ".join(part.name for part in parts.all_parts(environment)))


def summarize(environment: Environment) -> None:
    for line in (
        f"  console     http://{environment.hostname}:{environment.http_port}/"
        f"  (here: http://127.0.0.1:{environment.http_port}/)",
        f"  sign in     admin, password {_password(environment)}",
        f"  user pages  http://{environment.hostname}:{environment.http_port}/mail/",
        f"  SMTP        port {environment.smtp_port}",
        f"  submission  port {environment.submission_port} (STARTTLS)",
        f"  SMTPS       port {environment.smtps_port} (TLS)",
        f"  ManageSieve port {environment.sieve_port} (STARTTLS)",
        f"  home        {environment.home}",
    ):
        print(line, flush=True)


def _password(environment: Environment) -> str:
    if environment.admin_password:
        return "as set in COURIERWEB_ADMIN_PASSWORD"
    try:
        return (environment.home / "admin_password").read_text()
    except FileNotFoundError:
        return "as last set"


def self_test(supervisor: Supervisor, environment: Environment) -> None:
    supervisor.run([sys.executable, "-m", "deploy.selftest"], parts.variables(environment))


if __name__ == "__main__":
    sys.exit(main())
