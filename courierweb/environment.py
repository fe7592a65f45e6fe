"""The environment variables of the README, checked; the only place that reads them.

`deploy/run` writes what it decided (sockets, ports, name) to HOME/run/environment.json, so
that `manage.py` in a fresh shell finds the running appliance. A variable that is set wins.
"""

import ipaddress
import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

ROOT = Path(__file__).resolve().parent.parent
STATE_FILE = Path("run", "environment.json")

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# At least two labels, the last not a number: an IPv4 address is not a name.
_HOSTNAME = re.compile(rf"(?=.{{1,253}}\Z)({_LABEL}\.)+(?!\d+\Z){_LABEL}\Z")


class BadEnvironment(Exception):
    """A variable has a value that cannot be meant; the message names it."""


@dataclass(frozen=True)
class Environment:
    """The settled values. `dns` is "host:port" or ""; URLs are "" when not known yet."""

    home: Path
    hostname: str
    http_port: int
    smtp_port: int
    submission_port: int
    smtps_port: int
    admin_password: str
    dns: str
    database_url: str
    broker_url: str
    ingress_processes: int = 2
    outbound_sessions: int = 400
    sieve_port: int = 4190

    @property
    def state_file(self) -> Path:
        return self.home / STATE_FILE

    @property
    def mail_root(self) -> Path:
        return self.home / "mail"

    def variables(self) -> dict[str, str]:
        """The settled values under their variable names, without the secrets."""
        return {
            "COURIERWEB_HOSTNAME": self.hostname,
            "COURIERWEB_HTTP_PORT": str(self.http_port),
            "COURIERWEB_SMTP_PORT": str(self.smtp_port),
            "COURIERWEB_SUBMISSION_PORT": str(self.submission_port),
            "COURIERWEB_SMTPS_PORT": str(self.smtps_port),
            "COURIERWEB_SIEVE_PORT": str(self.sieve_port),
            "COURIERWEB_INGRESS_PROCESSES": str(self.ingress_processes),
            "COURIERWEB_OUTBOUND_SESSIONS": str(self.outbound_sessions),
            "COURIERWEB_DNS": self.dns,
            "DATABASE_URL": self.database_url,
            "CELERY_BROKER_URL": self.broker_url,
        }


def load(environ: Mapping[str, str] = os.environ, *, remembered: bool = True) -> Environment:
    """Read and check every variable. Raises BadEnvironment with one clear sentence.

    `remembered` lets what deploy/run wrote to HOME/run/environment.json stand in for variables
    that are not set; deploy/run itself does without, so that a start depends on its own
    environment only.
    """
    home = Path(environ.get("COURIERWEB_HOME") or ROOT / "var").expanduser().absolute()
    known = _read_state(home) if remembered else {}

    def value(name: str, default: str) -> str:
        return environ.get(name) or known.get(name) or default

    ports = {
        name: _port(name, value(name, default))
        for name, default in (
            ("COURIERWEB_HTTP_PORT", "8025"),
            ("COURIERWEB_SMTP_PORT", "2525"),
            ("COURIERWEB_SUBMISSION_PORT", "2587"),
            ("COURIERWEB_SMTPS_PORT", "2465"),
            ("COURIERWEB_SIEVE_PORT", "4190"),
        )
    }
    _distinct(ports)
    return Environment(
        home=home,
        hostname=_hostname(value("COURIERWEB_HOSTNAME", default_hostname())),
        http_port=ports["COURIERWEB_HTTP_PORT"],
        smtp_port=ports["COURIERWEB_SMTP_PORT"],
        submission_port=ports["COURIERWEB_SUBMISSION_PORT"],
        smtps_port=ports["COURIERWEB_SMTPS_PORT"],
        sieve_port=ports["COURIERWEB_SIEVE_PORT"],
        admin_password=environ.get("COURIERWEB_ADMIN_PASSWORD", ""),
        dns=_dns(value("COURIERWEB_DNS", "")),
        database_url=_url("DATABASE_URL", value("DATABASE_URL", ""), ("postgres", "postgresql")),
        broker_url=_broker(value("CELERY_BROKER_URL", "")),
        ingress_processes=_count(
            "COURIERWEB_INGRESS_PROCESSES", value("COURIERWEB_INGRESS_PROCESSES", "2")
        ),
        outbound_sessions=_count(
            "COURIERWEB_OUTBOUND_SESSIONS",
            value("COURIERWEB_OUTBOUND_SESSIONS", "400"),
            "sessions",
            2000,
        ),
    )


def default_hostname() -> str:
    """This machine's full name, made dotted when it has no domain."""
    name = socket.getfqdn()
    if _HOSTNAME.match(name) and not name.endswith(".arpa"):
        return name
    label = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname().split(".")[0])
    return f"{label[:63].strip('-') or 'mail'}.localdomain"


def _read_state(home: Path) -> dict[str, str]:
    try:
        state = json.loads((home / STATE_FILE).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise BadEnvironment(f"cannot read {home / STATE_FILE}: {error}") from error
    return {str(name): str(value) for name, value in state.items()}


def _port(name: str, text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise BadEnvironment(f"{name}={text!r} is not a port (1 to 65535)")
    return int(text)


def _count(name: str, text: str, what: str = "processes", most: int = 64) -> int:
    if not text.isdecimal() or not 0 < int(text) <= most:
        raise BadEnvironment(f"{name}={text!r} is not a number of {what} (1 to {most})")
    return int(text)


def _distinct(ports: dict[str, int]) -> None:
    seen: dict[int, str] = {}
    for name, port in ports.items():
        if port in seen:
            raise BadEnvironment(f"{name} and {seen[port]} are both {port}")
        seen[port] = name


def _hostname(text: str) -> str:
    if not _HOSTNAME.match(text):
        raise BadEnvironment(
            f"COURIERWEB_HOSTNAME={text!r} is not a full host name such as mail.example.com"
        )
    return text.lower()


def _dns(text: str) -> str:
    if not text:
        return ""
    host, colon, port = text.rpartition(":")
    if not colon or not _is_host(host):
        raise BadEnvironment(f"COURIERWEB_DNS={text!r} is not host:port")
    _port("COURIERWEB_DNS", port)
    return text


def _is_host(text: str) -> bool:
    """True for an IPv4 address, an IPv6 address in brackets, or a name."""
    try:
        ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return (
            bool(re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", text))
            and not text.rpartition(".")[2].isdecimal()
        )
    return ("[" in text) == (":" in text)


def _broker(text: str) -> str:
    """The URL; its database has a number, since jobs take the next one."""
    text = _url("CELERY_BROKER_URL", text, ("redis", "rediss", "redis+socket", "valkey"))
    parts = urlsplit(text)
    number = (
        dict(parse_qsl(parts.query)).get("virtual_host", "0")
        if parts.scheme == "redis+socket"
        else parts.path.strip("/") or "0"
    )
    if text and not number.isdecimal():
        raise BadEnvironment("CELERY_BROKER_URL must name its database by a number")
    return text


def _url(name: str, text: str, schemes: tuple[str, ...]) -> str:
    """The URL as it came. Its value is not repeated in an error: it may hold a password."""
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 (reading it is what checks it)
    except ValueError as error:
        raise BadEnvironment(f"{name} is not a URL: {error}") from error
    if parts.scheme not in schemes:
        raise BadEnvironment(f"{name} must begin with {' or '.join(f'{s}://' for s in schemes)}")
    return text
