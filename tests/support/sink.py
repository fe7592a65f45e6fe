"""A scriptable SMTP server on a free loopback port, for tests of what we send out.

    with Sink(replies={"RCPT bob@example.org": "550 5.1.1 no such user"}) as sink:
        ...send to 127.0.0.1:sink.port...
        sink.wait_for(messages=1)
    assert sink.messages[0].recipients == ["ann@example.org"]

A key of `replies` is a step: BANNER, EHLO, HELO, STARTTLS, MAIL, RCPT, DATA, "." (the end of the
data), RSET, NOOP, QUIT; or a step with an address ("RCPT bob@example.org", "MAIL <>"), which
goes first. A value is one of

- a reply as `str` (CRLF is added to each line) or raw `bytes`, sent as they are;
- `Do.CLOSE`, `Do.RESET` or `Do.HANG`;
- a tuple of these, done one after the other;
- a list: its first item for the first time that the step comes, and so on; the last one stays;
- a function that takes the `SinkSession` and the command line and returns one of these.

A message counts as taken when the answer to its final dot begins with 2, or gives a verdict for
each recipient (353, 558).

With `lmtp` it speaks LMTP: LHLO instead of EHLO, and an answer for each recipient after the final
dot, which ". bob@example.org" names; the message is taken for those whose answer begins with 2.
"""

import base64
import re
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Self, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mta.protocol import scram

ALL_EXTENSIONS = (
    "PIPELINING",
    "SIZE 50000000",
    "8BITMIME",
    "SMTPUTF8",
    "DSN",
    "ENHANCEDSTATUSCODES",
)

_PATH = re.compile(r"(?:FROM|TO):\s*<([^>]*)>\s*(.*)", re.IGNORECASE)


class Do(Enum):
    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"


class Tls(Enum):
    """STARTTLS and IMPLICIT work with the sink's certificate; BROKEN offers STARTTLS, says 220 and
    then sends rubbish instead of a handshake."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    BROKEN = "broken"


Answer: TypeAlias = "str | bytes | Do | tuple[Answer, ...] | list[Answer] | Callable[..., Answer]"

_DEFAULTS: dict[str, Answer] = {
    "BANNER": "220 sink.example ESMTP",
    "HELO": "250 sink.example",
    "STARTTLS": "220 2.0.0 go ahead",
    "MAIL": "250 2.1.0 sender ok",
    "RCPT": "250 2.1.5 recipient ok",
    "DATA": "354 go ahead",
    ".": "250 2.0.0 queued as SINK",
    "BDAT": "503 5.5.1 for nobody",
    "RSET": "250 2.0.0 reset",
    "NOOP": "250 2.0.0 ok",
    "QUIT": ("221 2.0.0 bye", Do.CLOSE),
}


@dataclass
class SinkMessage:
    """A message as it was taken. `content` has CRLF line ends, dots undone; `raw` is as sent."""

    reverse_path: str
    mail_parameters: str
    recipients: list[str]
    recipient_parameters: dict[str, str]
    content: bytes
    raw: bytes
    tls: str
    session: "SinkSession"


@dataclass
class SinkSession:
    """One connection: every command line, and in `pipelined` those sent ahead of a reply."""

    number: int
    commands: list[str] = field(default_factory=list)
    pipelined: list[str] = field(default_factory=list)
    tls: str = ""
    user: str = ""
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def verbs(self) -> list[str]:
        return [command.split(" ", 1)[0].upper() for command in self.commands]


class Sink:
    """The server. `messages` and `sessions` grow while it runs; use `wait_for` to meet them.

    `lenient` makes it read bare CR and LF as line ends, as the servers do that smuggling aims at.
    `users` maps those who may sign in to their passwords; AUTH must be among the extensions.
    `certificate` is what `self_signed` gives, when it shall not be the one for "sink.example".
    `path` makes it listen at a socket of that name in the file system, on no port.
    """

    def __init__(
        self,
        replies: Mapping[str, Answer] | None = None,
        *,
        extensions: Sequence[str] = ALL_EXTENSIONS,
        tls: Tls | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        lenient: bool = False,
        certificate: tuple[bytes, bytes] | None = None,
        users: Mapping[str, str] | None = None,
        lmtp: bool = False,
        path: str = "",
    ) -> None:
        self.lmtp = lmtp
        self.users = dict(users or {})
        self.replies: dict[str, Answer] = {**_DEFAULTS, **(replies or {})}
        self.extensions = tuple(extensions)
        self.tls = tls
        self.lenient = lenient
        self.certificate = certificate or default_certificate()
        self.messages: list[SinkMessage] = []
        self.sessions: list[SinkSession] = []
        self.counts: dict[str, int] = {}
        self.host = host
        self.changed = threading.Condition()
        self._connections: set[socket.socket] = set()
        self._stopping = False
        if path:
            self.port = 0
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(path)
            self._listener.listen()
        else:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listener = socket.create_server((host, port), family=family)
            self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def nexthop(self) -> str:
        """The next hop word of a route to this sink."""
        return f"relay:[{self.host}]:{self.port}"

    @property
    def recipients(self) -> list[str]:
        """Of all messages taken, in order."""
        return [recipient for message in self.messages for recipient in message.recipients]

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        with self.changed:
            self._stopping = True
            open_now = [self._listener, *self._connections]
        for connection in open_now:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._listener.close()
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def wait_for(self, *, messages: int = 0, sessions: int = 0, timeout: float = 20.0) -> None:
        """Return as soon as there are that many; an AssertionError when they do not come."""
        with self.changed:
            met = self.changed.wait_for(
                lambda: len(self.messages) >= messages and len(self.sessions) >= sessions, timeout
            )
        assert met, f"{len(self.messages)} messages and {len(self.sessions)} sessions came"

    def watch(self, connection: socket.socket) -> None:
        """Close `connection`, too, when the sink stops."""
        with self.changed:
            self._connections.add(connection)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self.changed:
                if self._stopping:
                    connection.close()
                    return
                if self.port:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.watch(connection)
                session = SinkSession(len(self.sessions))
                self.sessions.append(session)
                self.changed.notify_all()
            threading.Thread(target=self._serve, args=(connection, session), daemon=True).start()

    def _serve(self, connection: socket.socket, session: SinkSession) -> None:
        conversation = _Conversation(self, connection, session)
        try:
            conversation.run()
        except (OSError, _Over):
            pass
        finally:
            conversation.close()


class _Over(Exception):
    """The conversation ends here."""


class _Conversation:
    def __init__(self, sink: Sink, connection: socket.socket, session: SinkSession) -> None:
        self._sink = sink
        self._socket = connection
        self._session = session
        self._buffer = b""
        self._mail: tuple[str, str] | None = None
        self._recipients: dict[str, str] = {}

    def run(self) -> None:
        if self._sink.tls is Tls.IMPLICIT:
            self._encrypt()
        self._answer("BANNER", "")
        while True:
            buffered = b"\n" in self._buffer
            line = self._line()
            self._session.commands.append(line)
            if buffered:
                self._session.pipelined.append(line)
            self._obey(line)

    def close(self) -> None:
        self._socket.close()

    def _obey(self, line: str) -> None:
        verb, _, argument = line.partition(" ")
        verb = verb.upper()
        hello = "LHLO" if self._sink.lmtp else "EHLO"
        if verb == hello and hello not in self._sink.replies:
            self._send("\n".join(self._greeting_lines()))
        elif self._sink.lmtp and verb in ("EHLO", "HELO"):
            self._send("500 5.5.1 this is LMTP")
        elif verb == "MAIL":
            self._on_mail(line, argument)
        elif verb == "RCPT":
            self._on_rcpt(line, argument)
        elif verb == "DATA":
            self._on_data(line)
        elif verb == "BDAT" and "CHUNKING" in self._sink.extensions:
            self._on_chunk(line)
        elif verb == "STARTTLS":
            if self._answer("STARTTLS", line).startswith(b"220"):
                self._encrypt()
        elif verb == "AUTH" and self._sink.users:
            self._on_auth(line, argument)
        elif verb in self._sink.replies:
            if verb == "RSET":
                self._forget()
            self._answer(verb, line)
        else:
            self._send("500 5.5.1 what?")

    def _greeting_lines(self) -> list[str]:
        words = ["sink.example", *self._sink.extensions]
        if self._sink.tls in (Tls.STARTTLS, Tls.BROKEN) and not self._session.tls:
            words.append("STARTTLS")
        return [f"250{' ' if word is words[-1] else '-'}{word}" for word in words]

    def _on_auth(self, line: str, argument: str) -> None:
        """PLAIN, LOGIN and SCRAM-SHA-256, checked against the sink's users."""
        mechanism, _, initial = argument.partition(" ")
        check = {"PLAIN": self._plain, "LOGIN": self._login, "SCRAM-SHA-256": self._scram}
        self._session.user = check[mechanism](initial)
        self._send("235 2.7.0 welcome" if self._session.user else "535 5.7.8 wrong")

    def _ask(self, challenge: bytes) -> bytes:
        self._send(f"334 {base64.b64encode(challenge).decode()}")
        return base64.b64decode(self._line())

    def _plain(self, initial: str) -> str:
        _, user, password = base64.b64decode(initial).decode().split("\0")
        return user if self._sink.users.get(user) == password else ""

    def _login(self, initial: str) -> str:
        user = self._ask(b"Username:").decode()
        password = self._ask(b"Password:").decode()
        return user if self._sink.users.get(user) == password else ""

    def _scram(self, initial: str) -> str:
        opening = scram.read_first(base64.b64decode(initial))
        password = self._sink.users.get(opening.user, "")
        challenge = opening.challenge(scram.derive(password or "none"), b"")
        try:
            final = challenge.verify(self._ask(challenge.message))
        except scram.Refused:
            return ""
        self._ask(final)
        return opening.user

    def _on_mail(self, line: str, argument: str) -> None:
        match = _PATH.match(argument)
        if match is None or self._mail is not None:
            self._send("503 5.5.1 no sender, or a nested one")
        elif self._answer("MAIL", line, match[1] or "<>").startswith(b"2"):
            self._mail = (match[1], match[2])

    def _on_rcpt(self, line: str, argument: str) -> None:
        match = _PATH.match(argument)
        if match is None or self._mail is None:
            self._send("503 5.5.1 no recipient, or no sender before it")
        elif self._answer("RCPT", line, match[1]).startswith(b"2"):
            self._recipients[match[1]] = match[2]

    def _on_data(self, line: str) -> None:
        if not self._recipients and self._sink.replies["DATA"] == _DEFAULTS["DATA"]:
            self._send("554 5.5.1 no valid recipients")
        elif self._answer("DATA", line).startswith(b"354"):
            raw, content = self._content()
            if self._sink.lmtp:
                self._on_end_for_each(line, raw, content)
                return
            answer = self._reply_to(".", line, "")
            if _first_bytes(answer).startswith((b"2", b"353", b"558")):
                self._take(raw, content)
            self._forget()
            self._perform(answer)

    def _on_end_for_each(self, line: str, raw: bytes, content: bytes) -> None:
        answers = {each: self._reply_to(".", line, each) for each in self._recipients}
        for each, answer in answers.items():
            if not _first_bytes(answer).startswith(b"2"):
                del self._recipients[each]
        if self._recipients:
            self._take(raw, content)
        self._forget()
        for answer in answers.values():
            self._perform(answer)

    def _on_chunk(self, line: str) -> None:
        """One chunk, which must be the last."""
        size = int(line.split()[1])
        while len(self._buffer) < size:
            self._fill()
        content, self._buffer = self._buffer[:size], self._buffer[size:]
        answer = self._reply_to("." if self._recipients else "BDAT", line, "")
        if _first_bytes(answer).startswith(b"2"):
            self._take(content, content)
        self._forget()
        self._perform(answer)

    def _take(self, raw: bytes, content: bytes) -> None:
        reverse_path, parameters = self._mail or ("", "")
        message = SinkMessage(
            reverse_path,
            parameters,
            list(self._recipients),
            dict(self._recipients),
            content,
            raw,
            self._session.tls,
            self._session,
        )
        with self._sink.changed:
            self._sink.messages.append(message)
            self._sink.changed.notify_all()

    def _forget(self) -> None:
        self._mail = None
        self._recipients = {}

    def _content(self) -> tuple[bytes, bytes]:
        """(the octets up to the end mark, the message). Keeps what follows for the commands."""
        end = re.compile(
            rb"(?:\A|\r\n|\r|\n)\.(?:\r\n|\r|\n)" if self._sink.lenient else rb"(?:\A|\r\n)\.\r\n"
        )
        searched = 0
        while (match := end.search(self._buffer, searched)) is None:
            searched = max(0, len(self._buffer) - 5) if self._buffer else 0
            self._fill()
        raw = self._buffer[: match.end()]
        self._buffer = self._buffer[match.end() :]
        body = raw[: match.start()] + (b"\r\n" if match.start() else b"")
        undone = re.sub(rb"\r\n\.", rb"\r\n", body)
        return raw, undone[1:] if undone.startswith(b".") else undone

    def _answer(self, step: str, line: str, address: str = "") -> bytes:
        answer = self._reply_to(step, line, address)
        self._perform(answer)
        return _first_bytes(answer)

    def _reply_to(self, step: str, line: str, address: str) -> Answer:
        key = f"{step} {address}"
        key = key if address and key in self._sink.replies else step
        answer = self._sink.replies[key]
        with self._sink.changed:
            count = self._sink.counts.get(key, 0)
            self._sink.counts[key] = count + 1
        if isinstance(answer, list):
            answer = answer[min(count, len(answer) - 1)]
        return answer(self._session, line) if callable(answer) else answer

    def _perform(self, answer: Answer) -> None:
        for action in answer if isinstance(answer, tuple) else (answer,):
            if isinstance(action, str | bytes):
                self._send(action)
            elif action is Do.HANG:
                self._hang()
            elif action is Do.RESET:
                # A linger time of zero makes the close a RST.
                linger = struct.pack("ii", 1, 0)
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                raise _Over
            else:
                self._socket.shutdown(socket.SHUT_WR)
                self._hang()

    def _hang(self) -> None:
        """Say nothing until the peer goes or the sink stops."""
        while self._socket.recv(65536):
            pass
        raise _Over

    def _send(self, reply: str | bytes) -> None:
        if isinstance(reply, str):
            reply = "".join(f"{line}\r\n" for line in reply.split("\n")).encode()
        self._socket.sendall(reply)

    def _line(self) -> str:
        while b"\n" not in self._buffer:
            self._fill()
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.removesuffix(b"\r").decode("utf-8", "replace")

    def _fill(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise _Over
        self._buffer += data

    def _encrypt(self) -> None:
        if self._sink.tls is Tls.BROKEN:
            # What comes before the peer's own hello would be dropped with the clear text.
            self._socket.recv(65536)
            self._socket.sendall(b"this is not TLS\r\n" * 100)
            self._hang()
        self._buffer = b""
        self._forget()
        secured = server_context(self._sink.certificate).wrap_socket(self._socket, server_side=True)
        self._socket = secured
        self._session.tls = secured.version() or ""
        self._sink.watch(secured)


def _first_bytes(answer: Answer) -> bytes:
    """The start of the reply in an answer, b"" when there is none."""
    first = answer[0] if isinstance(answer, tuple) and answer else answer
    if isinstance(first, str):
        return first.encode()
    return first if isinstance(first, bytes) else b""


@lru_cache(maxsize=1)
def default_certificate() -> tuple[bytes, bytes]:
    """Made for this run; good for "sink.example" to those who trust it."""
    return self_signed("sink.example")


@lru_cache(maxsize=8)
def server_context(pair: tuple[bytes, bytes]) -> ssl.SSLContext:
    """TLS with a certificate and its key."""
    certificate, key = pair
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sink.pem"
        path.write_bytes(certificate + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
    return context


def self_signed(name: str, *, days: int = 1) -> tuple[bytes, bytes]:
    """(certificate, key) in PEM; expired when `days` is negative."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
