"""The real appliance for tests: `deploy/run` in a home and on ports of its own.

    with Appliance(dns="127.0.0.1:5353") as appliance:
        appliance.manage("domain", "add", "example.test")
        ...
        queue_id = appliance.send("ann@example.org", ["bob@example.test"], content)
        appliance.maildir("bob@example.test").wait_for_messages(1)

Tests see it the way its users do: through its ports, its Maildirs and `manage.py` in a fresh
shell. Leaving the context stops it and makes sure that it ended as promised.
"""

import ctypes
import json
import os
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

ROOT = Path(__file__).resolve().parent.parent.parent
HOSTNAME = "mail.example.test"
PORTS = ("HTTP", "SMTP", "SUBMISSION", "SMTPS", "SIEVE")
# The first start may have to install the packages.
STARTED_WITHIN = 600.0
STOPPED_WITHIN = 10.0
# Generous: the tests share a small machine with others.
SOON = 60.0
TAIL = 25
PR_SET_PDEATHSIG = 1

_Value = TypeVar("_Value")


def wait_for(condition: Callable[[], _Value], what: str, seconds: float = SOON) -> _Value:
    """The first true value of the condition. Raises AssertionError naming `what`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.05)
    return value


def free_ports(count: int) -> list[int]:
    """Ports that were free on all addresses a moment ago."""
    servers = [socket.create_server(("", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


class Refused(Exception):
    """A command of manage.py ended with a bad exit status."""

    def __init__(self, returncode: int, error: str) -> None:
        super().__init__(error)
        self.returncode = returncode


@dataclass(frozen=True)
class Maildir:
    """The mail of one mailbox, oldest first."""

    path: Path

    def files(self) -> list[Path]:
        return sorted((*self.path.glob("new/*"), *self.path.glob("cur/*")), key=lambda p: p.name)

    def messages(self, containing: bytes = b"") -> list[bytes]:
        """The messages as they lie there, only those with the words `containing`."""
        contents = [path.read_bytes() for path in self.files()]
        return [content for content in contents if containing in content]

    def wait_for_messages(
        self, count: int = 1, containing: bytes = b"", seconds: float = SOON
    ) -> list[bytes]:
        """The messages with these words, once there are at least `count`."""

        def enough() -> list[bytes]:
            found = self.messages(containing)
            return found if len(found) >= count else []

        return wait_for(enough, f"{count} messages with {containing!r} in {self.path}", seconds)


class Appliance:
    """`hostname`, `home`, `ports` (by the names in PORTS) and `admin_password` are its settings;
    `root` is the checkout that it runs from. `programs` is a directory in front of its PATH."""

    def __init__(self, dns: str = "", hostname: str = HOSTNAME, root: Path = ROOT) -> None:
        self.hostname = hostname
        self._root = root
        self.home = Path(tempfile.mkdtemp(prefix="courierweb-appliance-"))
        # PostgreSQL, which runs as another user when we are root, has to pass through.
        self.home.chmod(0o711)
        self.programs = self.home / "programs"
        self.programs.mkdir(0o755)
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self.admin_password = "correct horse battery"
        self._dns = dns
        self._output = self.home / "run.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._kill()
            shutil.rmtree(self.home, ignore_errors=True)
            raise
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.stop()
        finally:
            self._kill()
            shutil.rmtree(self.home, ignore_errors=True)

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Returns when the self-test of the start is through and /healthz answers 200."""
        printed = len(self.output)
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [self._root / "deploy" / "run"],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A Ctrl-C at the tests is answered by stop(), once.
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        wait_for(
            lambda: self._has_ended() or "self-test: " in self.output[printed:],
            "the self-test line of deploy/run",
            STARTED_WITHIN,
        )
        assert not self._has_ended(), f"deploy/run ended: {self.output}"
        wait_for(self.is_healthy, "/healthz to answer 200")

    def stop(self) -> None:
        """SIGTERM; the whole appliance must be gone within STOPPED_WITHIN, exit status 0."""
        assert self._process is not None
        begin = time.monotonic()
        all_of_it = set(_descendants(self._process.pid))
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(timeout=60)
        seconds = time.monotonic() - begin
        left = [_command_line(pid) for pid, _ in _processes() if pid in all_of_it]
        assert status == 0, f"deploy/run ended with status {status}\n{self.log_tail()}"
        assert seconds < STOPPED_WITHIN, f"stopping took {seconds:.1f} s\n{self.log_tail()}"
        assert not left, f"outlived deploy/run: {left}"

    def crash(self) -> None:
        """kill -9 the supervisor; returns when nothing is left of the parts either."""
        assert self._process is not None
        all_of_it = set(_descendants(self._process.pid))
        self._kill()
        wait_for(
            lambda: all_of_it.isdisjoint(pid for pid, _ in _processes()), "the parts to be gone"
        )

    @property
    def output(self) -> str:
        """What deploy/run has printed so far."""
        return self._output.read_text() if self._output.exists() else ""

    def log_tail(self) -> str:
        """The last lines of deploy/run and of every part."""
        logs = [self._output, *sorted(self.home.glob("log/*.log"))]
        return "\n".join(f"--- {path.name}\n{_last_lines(path)}" for path in logs if path.exists())

    def _has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def _kill(self) -> None:
        """The last resort. The parts of a supervisor that was killed end by themselves."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _environment(self) -> dict[str, str]:
        variables = {f"COURIERWEB_{name}_PORT": str(port) for name, port in self.ports.items()}
        return {
            **_fresh_shell(),
            **variables,
            "PATH": f"{self.programs}:{os.environ.get('PATH', os.defpath)}",
            "COURIERWEB_HOME": str(self.home),
            "COURIERWEB_HOSTNAME": self.hostname,
            "COURIERWEB_ADMIN_PASSWORD": self.admin_password,
            "COURIERWEB_DNS": self._dns,
        }

    # --- its doors ------------------------------------------------------------------------------

    def manage(self, *arguments: str, text: str | bytes = b"") -> str:
        """Run a command of manage.py with `text` on its standard input; gives what it printed.

        Raises Refused with what it said on stderr.
        """
        result = subprocess.run(
            [sys.executable, self._root / "manage.py", *arguments],
            env={**_fresh_shell(), "COURIERWEB_HOME": str(self.home)},
            input=text.encode() if isinstance(text, str) else text,
            capture_output=True,
            timeout=120,
        )
        if result.returncode:
            raise Refused(result.returncode, result.stderr.decode())
        return result.stdout.decode()

    def mailq(self) -> list[dict[str, Any]]:
        queue: list[dict[str, Any]] = json.loads(self.manage("mailq", "--json"))
        return queue

    def trace(self, queue_id: str) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.manage("trace", queue_id, "--json"))
        return message

    def smtp(self) -> smtplib.SMTP:
        """A connection to the port for other hosts; EHLO is said."""
        client = smtplib.SMTP("127.0.0.1", self.ports["SMTP"], "client.example.org", timeout=SOON)
        client.ehlo()
        return client

    def submission(self, user: str = "", password: str = "") -> smtplib.SMTP:
        """A connection to the port for users, TLS begun, signed in when a user is given."""
        port = self.ports["SUBMISSION"]
        client = smtplib.SMTP("127.0.0.1", port, "laptop.example.test", timeout=SOON)
        client.starttls(context=self.tls_context())
        client.ehlo()
        if user:
            client.login(user, password)
        return client

    def smtps(self) -> smtplib.SMTP_SSL:
        port = self.ports["SMTPS"]
        return smtplib.SMTP_SSL("127.0.0.1", port, timeout=SOON, context=self.tls_context())

    def tls_context(self) -> ssl.SSLContext:
        """Trusts the appliance's own certificate and nothing else."""
        context = ssl.create_default_context(cafile=self.home / "tls" / "cert.pem")
        # It is made out to our name, and the tests connect by address.
        context.check_hostname = False
        return context

    def send(
        self, reverse_path: str, recipients: Sequence[str], content: bytes, *options: str
    ) -> str:
        """Send a message through the port for other hosts; gives its queue id."""
        with self.smtp() as client:
            return transfer(client, reverse_path, recipients, content, options)

    def maildir(self, address: str) -> Maildir:
        local, _, domain = address.rpartition("@")
        return Maildir(self.home / "mail" / domain / local / "Maildir")

    def get(self, path: str) -> tuple[int, str]:
        """(status, body) of a page of the console; (0, reason) when it does not answer."""
        try:
            with urllib.request.urlopen(self.url(path), timeout=20) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.ports['HTTP']}{path}"

    @property
    def broker_url(self) -> str:
        """The private Valkey as redis-py takes it."""
        state = json.loads((self.home / "run" / "environment.json").read_text())
        return str(state["CELERY_BROKER_URL"]).replace("redis+socket://", "unix://")

    def is_healthy(self) -> bool:
        status, _ = self.get("/healthz")
        return status == 200

    # --- its processes --------------------------------------------------------------------------

    def parts(self) -> dict[str, int]:
        """The process id of every part that runs, by the name of its log."""
        assert self._process is not None
        named = ((_part_name(pid, self.home), pid) for pid in _children(self._process.pid))
        return {name: pid for name, pid in named if name}

    def pids(self, part: str) -> list[int]:
        """A part's process and, after it, those it has made itself; [] when it does not run."""
        pid = self.parts().get(part)
        return [] if pid is None else [pid, *_descendants(pid)]

    def kill(self, part: str) -> int:
        """kill -9 the part; gives the process id that it had."""
        pid = self.parts()[part]
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_for_restart(self, part: str, old_pid: int, seconds: float = SOON) -> int:
        """The process id of the part after the one with the old id has died."""
        return wait_for(
            lambda: next((pid for pid in self.pids(part)[:1] if pid != old_pid), 0),
            f"{part} to be started again",
            seconds,
        )


def transfer(
    client: smtplib.SMTP,
    reverse_path: str,
    recipients: Sequence[str],
    content: bytes,
    options: Sequence[str] = (),
    recipient_options: Sequence[str] = (),
) -> str:
    """One transaction in which everything must be accepted; gives the queue id.

    Raises smtplib.SMTPResponseException with the first reply that is no acceptance. The content
    has CRLF line ends.
    """
    _expect(client.mail(reverse_path, list(options)))
    for recipient in recipients:
        _expect(client.rcpt(recipient, list(recipient_options)))
    reply = _expect(client.data(content))
    return reply.rpartition("queued as ")[2].split()[0]


def _expect(answer: tuple[int, bytes]) -> str:
    code, text = answer
    if code // 100 != 2:
        raise smtplib.SMTPResponseException(code, text)
    return text.decode()


def _fresh_shell() -> dict[str, str]:
    """Our environment without anything that tells of an appliance or of a Python."""
    unwanted = ("COURIERWEB_", "DJANGO_", "PYTHON", "DATABASE_URL", "CELERY_BROKER_URL")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}


def _last_lines(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-TAIL:])


def _part_name(pid: int, home: Path) -> str:
    """Every part writes into a log of its own name; "" for what is no part (the self-test)."""
    try:
        log = Path(f"/proc/{pid}/fd/1").readlink()
    except OSError:
        return ""
    return log.name.partition(".")[0] if log.parent == home.resolve() / "log" else ""


def _children(parent: int) -> list[int]:
    return [pid for pid, of in _processes() if of == parent]


def _descendants(parent: int) -> list[int]:
    """Children, their children, and so on."""
    processes = list(_processes())
    found = [parent]
    for ancestor in found:
        found += [pid for pid, of in processes if of == ancestor]
    return found[1:]


def _end_with_parent() -> None:
    """Tests that are killed leave no appliance behind: it gets a SIGTERM then."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def _processes() -> Iterator[tuple[int, int]]:
    """(process id, its parent's) of everything that runs; zombies do not."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            # The name, in parentheses, may hold anything.
            state, parent = stat.rpartition(")")[2].split()[:2]
            if state != "Z":
                yield int(entry.name), int(parent)
