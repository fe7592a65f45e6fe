"""qmail's configuration as rows: control/, alias/, users/assign and tcp.smtp (spec 9.7).

The directory is /var/qmail or a copy of it.
"""

import re

from mta.upgrade import client_rules
from mta.upgrade.findings import DomainKind, Findings, Kind, Line, Origin
from mta.upgrade.source import Source

_SECONDS = {
    "queuelifetime": "queuetime",
    "timeoutconnect": "esmtptimeoutconnect",
    "timeoutremote": "esmtptimeout",
}
_NUMBERS = {"databytes": "sizelimit", "concurrencyincoming": "maxdaemons"}
_NAMES = ("me", "defaultdomain", "defaulthost", "plusdomain", "idhost", "helohost", "envnoathost")
_READ = {
    *_SECONDS,
    *_NUMBERS,
    *_NAMES,
    *("locals", "rcpthosts", "morercpthosts", "virtualdomains", "smtproutes", "badmailfrom"),
}
_WHY = {
    "concurrencyremote": "the workers share the deliveries; the limit of one host is maxhost",
    "concurrencylocal": "the workers share the deliveries",
    "percenthack": "addresses with % are not rewritten",
    "smtpgreeting": "the greeting is our name",
    "doublebounceto": "double bounces go to the postmaster",
    "doublebouncehost": "double bounces go to the postmaster",
}
# relay, with the port behind a colon; an address may stand in brackets.
_RELAY = re.compile(r"(\[[^\]]*\]|[^:\s]*)(?::(\d+))?\Z")
ACCOUNT_EXCUSE = (
    "a virtual domain of an account: give its addresses as mailboxes or aliases of the domain"
)


def read(source: Source, hostname: str, findings: Findings) -> None:
    """Everything that is known of a qmail; the table of contents."""
    _Reader(source, hostname, findings).read()


class _Reader:
    def __init__(self, source: Source, hostname: str, findings: Findings) -> None:
        self._source = source
        self._hostname = hostname
        self._findings = findings
        # The prefix of local names -> its virtual domain, for the files in alias/.
        self._prefixes: dict[str, str] = {}

    def read(self) -> None:
        self._virtual_domains()
        self._domains()
        self._routes()
        self._single_values()
        self._bad_senders()
        self._clients()
        self._alias_files()
        self._assignments()
        self._rest()

    def _virtual_domains(self) -> None:
        for line in self._source.lines("control/virtualdomains"):
            name, colon, prepend = line.text.strip().partition(":")
            if not colon or not prepend:
                self._findings.leave(line, "an exception from virtual domains")
            elif not name or name.startswith("."):
                self._findings.leave(line, "a virtual domain has no wildcard here")
            elif "@" in name:
                local, _, domain = name.rpartition("@")
                self._findings.want_domain(domain, DomainKind.HOSTED, line)
                target = f"{prepend}-{local}@{self._hostname}"
                self._findings.want_alias(name.lower(), [target], line)
            else:
                self._virtual_domain(name.lower(), prepend, line)

    def _virtual_domain(self, domain: str, prepend: str, line: Line) -> None:
        self._findings.want_domain(domain, DomainKind.HOSTED, line)
        # What nobody else takes goes to the user alias: its files say where the mail goes.
        prefix = prepend.removeprefix("alias-")
        if any(
            name.rpartition("/")[2].startswith(f".qmail-{prefix}-")
            for name in self._source.names("alias", hidden=True)
        ):
            self._prefixes[prefix] = domain
        else:
            self._findings.want_alias(f"@{domain}", [prepend], line, ACCOUNT_EXCUSE)

    def _domains(self) -> None:
        for line in self._source.lines("control/locals"):
            if line.text.strip() == "localhost":
                self._findings.leave(line, "localhost is a name of every host")
            else:
                self._findings.want_domain(line.text.strip(), DomainKind.LOCAL, line)
        files = [name for name in ("rcpthosts", "morercpthosts") if self._has(name)]
        for name in files:
            for line in self._source.lines(f"control/{name}"):
                if line.text.strip() != "localhost":
                    self._findings.want_domain(line.text.strip(), DomainKind.BACKUP, line)
        if not files:
            self._findings.leave(
                _whole("control/rcpthosts"),
                "there is none: that qmail relayed for everybody, which is not carried over",
            )

    def _has(self, name: str) -> bool:
        return self._source.has(f"control/{name}")

    def _routes(self) -> None:
        for line in self._source.lines("control/smtproutes"):
            domain, colon, relay = line.text.strip().partition(":")
            relay, *credentials = relay.split()[:2] or [""]
            # The user and password behind it are shown to nobody.
            line = Line(line.origin, f"{domain}:{relay}")
            match = _RELAY.match(relay)
            if not colon or match is None:
                self._findings.leave(line, "DOMAIN:RELAY[:PORT] is expected")
            elif not match.group(1):
                self._findings.leave(line, "no relay: mail goes by MX where no route says else")
            else:
                port = int(match.group(2) or 25)
                values = {"relay": match.group(1), "port": port}
                self._findings.want(Kind.ROUTE, domain.lower() or "*", line, **values)
                if credentials:
                    self._findings.leave(line, "the relay's user and password")

    def _single_values(self) -> None:
        for name, setting in _SECONDS.items():
            if line := self._source.first(f"control/{name}"):
                self._findings.want(Kind.SETTING, setting, line, text=f"{line.text.strip()}s")
        for name, setting in _NUMBERS.items():
            if line := self._source.first(f"control/{name}"):
                if line.text.strip() == "0":
                    self._findings.leave(line, f"{setting}: there is always a limit")
                else:
                    self._findings.want(Kind.SETTING, setting, line, text=line.text.strip())
        for name in _NAMES:
            line = self._source.first(f"control/{name}")
            if line and line.text.strip().lower() != self._hostname:
                self._findings.leave(
                    line, f"our only name is {self._hostname} (COURIERWEB_HOSTNAME)"
                )

    def _bad_senders(self) -> None:
        for line in self._source.lines("control/badmailfrom"):
            self._findings.want(Kind.BAD_SENDER, line.text.strip().lower(), line)

    def _clients(self) -> None:
        for name in ("tcp.smtp", "etc/tcp.smtp", "control/tcp.smtp"):
            for line in self._source.lines(name):
                prefix, _, instruction = line.text.partition(":")
                if prefix.startswith("=") or "@" in prefix:
                    self._findings.leave(line, "clients are known by their addresses only")
                else:
                    client_rules.want_client_rule(self._findings, prefix, instruction, line)

    def _alias_files(self) -> None:
        for file in self._source.names("alias", hidden=True):
            name = file.rpartition("/")[2].removeprefix(".qmail")
            lines = list(self._source.lines(file))
            alias = self._alias_name(name.removeprefix("-").replace(":", "."))
            if not name or alias is None:
                self._findings.leave(_whole(file), "a default of its own has no equivalent")
            elif lines:
                self._alias(alias, lines)
            else:
                self._findings.leave(_whole(file), "mail kept in the home of the user alias")

    def _alias_name(self, name: str) -> str | None:
        """ "x-info" is info@ the virtual domain of x, "x-default" the rest of that domain."""
        for prefix, domain in self._prefixes.items():
            if name.startswith(f"{prefix}-"):
                local = name.removeprefix(f"{prefix}-")
                return f"@{domain}" if local == "default" else f"{local}@{domain}"
        if name == "default":
            return f"@{self._hostname}"
        return None if name.endswith("-default") else f"{name}@{self._hostname}"

    def _alias(self, alias: str, lines: list[Line]) -> None:
        after_command = False
        for line in lines:
            text = line.text.strip()
            if text.startswith("."):
                self._findings.leave(line, f"{alias}: a file in the home of the user alias")
            elif text.startswith("/") and "@" in text:
                self._findings.leave(line, f"{alias}: a file with an @ in its name")
            elif text.startswith(("|", "/")):
                after_command = after_command or text.startswith("|")
                self._findings.want_alias(alias, [text], line)
            else:
                if after_command:
                    self._findings.leave(
                        line, f"{alias}: gets the mail whatever the command before it says"
                    )
                self._findings.want_alias(alias, [self._whole_address(text.lstrip("&"))], line)

    def _whole_address(self, text: str) -> str:
        return text if "@" in text else f"{text}@{self._hostname}"

    def _assignments(self) -> None:
        for line in self._source.lines("users/assign"):
            text = line.text.strip()
            fields = text[1:].split(":")
            if text == ".":
                return
            if not text.startswith("=") or len(fields) < 7:
                self._findings.leave(line, "a wildcard of names, or malformed")
            elif fields[0] == fields[1]:
                address = f"{fields[0]}@{self._hostname}"
                self._findings.leave(
                    line, f"an account: setting set systemaccounts on, or mailbox add {address}"
                )
            else:
                extension = fields[5] + fields[6]
                target = f"{fields[1]}{extension}@{self._hostname}"
                self._findings.want_alias(f"{fields[0]}@{self._hostname}", [target], line)

    def _rest(self) -> None:
        """What else is in control/ and alike is named, so that nobody waits for it."""
        for file in self._source.names("control"):
            name = file.rpartition("/")[2]
            if name in _READ or name == "tcp.smtp":
                continue
            if line := self._source.first(file):
                known = name in _WHY
                # Patches keep passwords and keys in files of their own.
                self._findings.leave(
                    line if known else Line(line.origin, ""),
                    _WHY[name] if known else "has no equivalent",
                )


def _whole(file: str) -> Line:
    return Line(Origin(file), "")
