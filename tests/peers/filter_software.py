"""Real filters: rspamd, OpenDKIM, and Courier's dupfilter under Courier's own courierfilter."""

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.peers.packages import tree
from tests.peers.peer import STARTS_WITHIN
from tests.peers.root import Account, Root
from tests.support.appliance import free_ports, is_listening, wait_for


class FilterSoftware(ABC):
    """One running program. Use it as a context manager; a filter of KIND with `options` asks it."""

    NAME: ClassVar[str]
    KIND: ClassVar[str]
    PACKAGES: ClassVar[Sequence[str]]
    ACCOUNT: ClassVar[Account]

    def __init__(self, cache: Path) -> None:
        self.root = Root(tree(cache, self.PACKAGES), [self.ACCOUNT])
        (self.port,) = free_ports(1)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.root)
            self.start()
            try:
                wait_for(self.is_ready, f"{self.NAME} to answer", STARTS_WITHIN)
            except AssertionError as error:
                raise AssertionError(f"{error}; it said:\n{self.root.log()}") from error
            self._at_the_end = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._at_the_end.close()

    @abstractmethod
    def start(self) -> None:
        """Write its configuration and start it."""

    @property
    @abstractmethod
    def options(self) -> Mapping[str, object]:
        """Of the filter that asks it."""

    def is_ready(self) -> bool:
        return is_listening(self.port)


class Milter(FilterSoftware):
    KIND = "milter"

    @property
    def options(self) -> Mapping[str, object]:
        return {"socket": f"inet:{self.port}@127.0.0.1"}


class Rspamd(Milter):
    """Without rules: it knows the test patterns only, and starts at once."""

    NAME = "rspamd"
    PACKAGES = ("rspamd",)
    ACCOUNT = Account("_rspamd", 20501)
    REFUSED = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
    MARKED = b"Y" + REFUSED[1:]
    CONFIGURATION = """\
options {{
  pidfile = "/run/rspamd/pid";
  filters = "";
  url_tld = "/etc/rspamd/domains";
  disable_hyperscan = true;
  enable_test_patterns = true;
  dns {{ nameserver = ["127.0.0.1:53:1"]; timeout = 1s; retransmits = 1; }}
}}
lang_detection {{ languages = "/etc/rspamd/languages"; }}
logging {{ type = "console"; level = "info"; }}
actions {{ reject = 15; add_header = 6; }}
worker "rspamd_proxy" {{
  bind_socket = "127.0.0.1:{port}";
  count = 1;
  milter = yes;
  timeout = 20s;
  upstream "local" {{ default = yes; self_scan = yes; }}
}}
"""

    def start(self) -> None:
        account = self.ACCOUNT.name
        self.root.write("/etc/rspamd/rspamd.conf", self.CONFIGURATION.format(port=self.port))
        self.root.write("/etc/rspamd/domains", "test\n")
        self.root.directory("/etc/rspamd/languages")
        for place in ("/var/lib/rspamd", "/run/rspamd"):
            self.root.directory(place, 0o755, account)
        self.root.start("/usr/bin/rspamd", "-f", "-u", account, "-g", account)


class OpenDkim(Milter):
    """Signs the mail of users who are signed in, refuses other mail with a broken signature."""

    NAME = "opendkim"
    PACKAGES = ("opendkim",)
    ACCOUNT = Account("opendkim", 20502)
    CONFIGURATION = """\
Mode sv
Domain {domain}
Selector one
KeyFile /etc/dkim/key
Canonicalization relaxed/simple
Socket inet:{port}@127.0.0.1
InternalHosts /etc/dkim/internal
TestPublicKeys /etc/dkim/public
AuthservID {domain}
On-BadSignature reject
AlwaysAddARHeader yes
Syslog yes
"""

    def __init__(self, cache: Path, domain: str) -> None:
        super().__init__(cache)
        self.domain = domain

    def start(self) -> None:
        key = rsa.generate_private_key(65537, 2048)
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        record = f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"
        self.root.write("/etc/dkim/key", private, 0o600)
        self.root.write("/etc/dkim/public", f"one._domainkey.{self.domain} {record}\n")
        # Nobody's: else all that comes from this machine would be ours.
        self.root.write("/etc/dkim/internal", "192.0.2.1\n")
        text = self.CONFIGURATION.format(domain=self.domain, port=self.port)
        self.root.write("/etc/opendkim.conf", text)
        self.root.start("/usr/sbin/opendkim", "-f", "-x", "/etc/opendkim.conf")


class DupFilter(FilterSoftware):
    """Refuses the third message with the same text. It runs under Courier's account."""

    NAME = "dupfilter"
    KIND = "courierfilter"
    PACKAGES = ("courier-mta",)
    ACCOUNT = Account("courier", 20301, "/var/lib/courier")
    TOLERATED = 2

    def start(self) -> None:
        for place in ("filters", "allfilters", "tmp"):
            self.root.directory(f"/var/lib/courier/{place}", 0o770, self.ACCOUNT.name)
        self.root.directory("/run/courier", 0o770, self.ACCOUNT.name)
        self.root.write("/etc/courier/filters/dupfilter-mode", "all\n")
        self.root.write("/etc/courier/filters/dupfilter-duplevel", f"{self.TOLERATED + 1}\n")
        active = self.root.file("/etc/courier/filters/active/dupfilter")
        active.symlink_to("/usr/lib/courier/filters/dupfilter")
        self.root.write("/etc/environment", "")
        self.root.directory("/files")
        self._make_paths_the_same()
        self.root.start("/usr/sbin/courierfilter", "start")

    def is_ready(self) -> bool:
        return (self._sockets / self.NAME).is_socket()

    @property
    def options(self) -> Mapping[str, object]:
        return {
            "sockets": self._sockets,
            "directory": self.files,
            "group": self.ACCOUNT.number,
        }

    @property
    def files(self) -> Path:
        """Where we write messages for it."""
        return self.root.file("/files")

    @property
    def _sockets(self) -> Path:
        return self.root.file("/var/lib/courier/allfilters")

    def _make_paths_the_same(self) -> None:
        """It is told paths as we know them, and has another root directory."""
        inside = self.root.file(str(self.root.path))
        self.root.directory(str(self.root.path.parent))
        inside.symlink_to("/")
