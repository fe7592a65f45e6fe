"""A real Postfix beside the appliance, for comparison: private directories, one loopback port.

Its programs come from the package that smtp-source comes from; nothing is installed. It has to
be root, which starts Postfix's processes, and borrows two of the system's accounts for them.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.smtp_source import NoLoadTool, SmtpSource
from tests.support.appliance import free_ports, is_listening, wait_for

# Postfix wants an owner of its queue, a group, and an account for the mailbox: all different.
OWNER, GROUP, MAILBOX_OWNER = "daemon", "mail", "nobody"
QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming")
OTHERS = ("private", "saved", "trace", "pid", "public", "maildrop")

MAIN = """\
compatibility_level = 3.6
queue_directory = {place}/queue
data_directory = {place}/data
daemon_directory = {daemons}
command_directory = {commands}
shlib_directory = {libraries}
mail_owner = {owner}
setgid_group = {group}
import_environment = MAIL_CONFIG LANG=C LD_LIBRARY_PATH={libraries} POSTLOG_SERVICE POSTLOG_HOSTNAME
maillog_file = {place}/mail.log
maillog_file_prefixes = {place}
myhostname = mail.bench.test
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
alias_maps =
alias_database =
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {place}/mail
virtual_mailbox_maps = static:box/Maildir/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
"""
MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
error unix - - n - - error
virtual unix - n n - - virtual
postlog unix-dgram n - n - 1 postlogd
"""


@contextmanager
def running(tool: SmtpSource, domain: str) -> Iterator[tuple[int, Path]]:
    """(port, the new/ of its only mailbox) while it runs. Raises NoLoadTool when it cannot."""
    if os.geteuid() != 0:
        raise NoLoadTool("--postfix needs root, because Postfix's processes change accounts")
    place = Path(tempfile.mkdtemp(prefix="courierweb-postfix-"))
    try:
        place.chmod(0o711)
        (port,) = free_ports(1)
        _configure(place, tool, port, domain)
        with _master(place, tool, port):
            yield port, place / "mail/box/Maildir/new"
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _configure(place: Path, tool: SmtpSource, port: int, domain: str) -> None:
    owner, box = pwd.getpwnam(OWNER), pwd.getpwnam(MAILBOX_OWNER)
    for name in ("etc", "queue", "data", "mail"):
        (place / name).mkdir()
    for name in (*QUEUES, *OTHERS):
        (place / "queue" / name).mkdir(mode=0o700)
        if name != "pid":
            shutil.chown(place / "queue" / name, owner.pw_uid, GROUP)
    shutil.chown(place / "data", owner.pw_uid)
    shutil.chown(place / "mail", box.pw_uid)
    values = {
        "place": place,
        "libraries": tool.postfix_libraries,
        "daemons": tool.postfix_libraries / "sbin",
        "commands": tool.program.parent,
        "owner": OWNER,
        "group": GROUP,
        "domain": domain,
        "uid": box.pw_uid,
        "gid": box.pw_gid,
        "port": port,
    }
    (place / "etc/main.cf").write_text(MAIN.format(**values))
    (place / "etc/master.cf").write_text(MASTER.format(**values))


@contextmanager
def _master(place: Path, tool: SmtpSource, port: int) -> Iterator[None]:
    libraries = tool.postfix_libraries
    environment = {**os.environ, "LD_LIBRARY_PATH": str(libraries), "MAIL_CONFIG": f"{place}/etc"}
    with (place / "errors").open("w") as errors:
        master = subprocess.Popen(
            [libraries / "sbin/master", "-c", place / "etc", "-d"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,
        )
    try:
        wait_for(lambda: is_listening(port) or master.poll() is not None, "Postfix to answer")
        if master.poll() is not None:
            log = place / "mail.log"
            said = (place / "errors").read_text() + (log.read_text() if log.exists() else "")
            raise NoLoadTool(f"Postfix does not start: {said.strip()}")
        yield
    finally:
        master.terminate()
        master.wait(timeout=30)
        # Its children notice within a moment that they are alone.
        time.sleep(1)
