"""An SMTP client for one connection: greeting, EHLO, STARTTLS, transactions, QUIT (RFC 5321).

It also speaks LMTP (RFC 2033), where the greeting is LHLO and the end of the data is answered once
for each recipient that was accepted. It writes and reads and keeps to the protocol; what a reply
means for a recipient is the caller's business. Every method raises an SmtpError when the session
cannot go on.
"""

import base64
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from mta.protocol import exdata, scram
from mta.protocol.auth_client import Exchange
from mta.protocol.exdata import Verdicts
from mta.protocol.reply import Reply
from mta.protocol.smtp_stream import MAX_REPLY_LINES, GarbledReply, PeerGone, SmtpStream
from mta.protocol.wire_content import chunk_content, wire_chunks

DEFAULT_TIMEOUTS = {"connect": 60.0, "helo": 300.0, "command": 600.0, "data": 300.0, "quit": 10.0}

# Content is allowed its own time on top of the "data" timeout, at this many octets a second.
MIN_RATE = 4096

# Replies to a command that was not taken for one, or was out of place (RFC 5321 4.2.2).
_NOT_UNDERSTOOD = frozenset({500, 501, 502, 503, 504})

# Room in a 558 reply for what a peer has to say on each recipient.
_LINES_PER_VERDICT = 20


class SmtpClient:
    """One connection. `timeouts` in seconds, by the keys of DEFAULT_TIMEOUTS; `lmtp` says that the
    peer speaks LMTP.

    `offered` maps the extensions of the last EHLO, in upper case, to their arguments. `unfinished`
    says that MAIL was accepted but no end of DATA came, so that a RSET is due before the next.
    """

    def __init__(
        self, stream: SmtpStream, timeouts: Mapping[str, float], *, lmtp: bool = False
    ) -> None:
        self.stream = stream
        self.lmtp = lmtp
        self.offered: dict[str, str] = {}
        self._timeouts = {**DEFAULT_TIMEOUTS, **timeouts}
        self.unfinished = False

    def greeting(self) -> Reply:
        return self.stream.read_reply(self._timeouts["helo"])

    def hello(self, hostname: str) -> Reply:
        """EHLO, and HELO where the peer does not know EHLO; LHLO has no older brother.

        The reply may be negative.
        """
        reply = self._command(f"{'LHLO' if self.lmtp else 'EHLO'} {hostname}", "helo")
        self.offered = _extensions(reply) if reply.code == 250 else {}
        if reply.is_permanent and not self.lmtp:
            reply = self._command(f"HELO {hostname}", "helo")
        return reply

    def start_tls(self, context: ssl.SSLContext, server_name: str) -> Reply:
        """STARTTLS; after a 220 the stream is encrypted and EHLO must be said again.

        Raises TlsFailed when the handshake fails.
        """
        reply = self._command("STARTTLS", "helo")
        if reply.code == 220:
            self.offered = {}
            self.stream.start_tls(context, server_name, self._timeouts["helo"])
        return reply

    def authenticate(self, mechanism: str, exchange: Exchange) -> Reply:
        """AUTH (RFC 4954); 235 is yes. After what `exchange` raises the session is of no use.

        A challenge beyond the exchange's last word is answered with "*", which ends it.
        """
        first = next(exchange)
        command = f"AUTH {mechanism}" + (f" {_base64(first)}" if first else "")
        reply = self._command(command, "helo")
        while reply.code == 334:
            try:
                answer = _base64(exchange.send(scram.from_base64(reply.text)))
            except StopIteration:
                answer = "*"
            reply = self._command(answer, "helo")
        if reply.code == 235:
            with suppress(StopIteration):
                exchange.send(None)
        return reply

    def transaction(
        self,
        mail: str,
        recipients: Sequence[str],
        verdicts: Verdicts = Verdicts.ONE_FOR_ALL,
        *,
        chunked: bool = False,
    ) -> "Transaction":
        """Begin a transaction; `mail` and `recipients` are whole commands.

        `verdicts` says what `mail` asks for, and so how the end of the data is answered; with
        `chunked` the content goes by BDAT (RFC 3030).
        """
        if self.unfinished:
            reply = self._command("RSET", "command")
            if not 200 <= reply.code < 300:
                raise PeerGone("the peer refused RSET")
            self.unfinished = False
        return Transaction(self, mail, recipients, verdicts, chunked=chunked)

    def exchange(self, commands: Sequence[str]) -> Iterator[Reply]:
        """The reply to each command: all sent at once to a peer with PIPELINING, else in turn.

        Without PIPELINING the caller may stop early; with it every reply must be read.
        """
        if self.pipelining:
            self._write(commands)
        for command in commands:
            if not self.pipelining:
                self._write([command])
            reply = self.stream.read_reply(self._timeouts["command"])
            if reply.code // 100 == 3 and command != "DATA":
                raise GarbledReply(f"the peer answered with {reply.code} out of place")
            yield reply

    @property
    def pipelining(self) -> bool:
        return "PIPELINING" in self.offered

    def send_content(self, content: bytes, before_last: Callable[[], None]) -> None:
        """The content and the final dot. `before_last` is called before the write that ends it."""
        allowance = self._timeouts["data"] + len(content) / MIN_RATE
        chunks = wire_chunks(content)
        waiting = next(chunks)
        for chunk in chunks:
            self.stream.write(waiting, allowance)
            waiting = chunk
        before_last()
        self.stream.write(waiting, allowance)
        self.unfinished = False

    def send_chunk(self, content: bytes, before_last: Callable[[], None]) -> None:
        """The content as the one and last chunk. `before_last` is called before its end is sent."""
        allowance = self._timeouts["data"] + len(content) / MIN_RATE
        head, end = content[:-1], content[-1:]
        self.stream.write(b"BDAT %d LAST\r\n" % len(content) + head, allowance)
        before_last()
        self.stream.write(end, allowance)
        self.unfinished = False

    def parting_refusal(self) -> Reply | None:
        """The refusal that a peer left which is gone in the middle of the data, if there is one.

        Some say "552 too big" as soon as they know, and close.
        """
        try:
            reply = self.stream.read_reply(self._timeouts["quit"])
        except (PeerGone, GarbledReply):
            return None
        return None if reply.is_positive else reply

    def read_verdicts(self, verdicts: Verdicts, count: int) -> Iterable[Reply]:
        """What the peer says after the final dot about each of `count` accepted recipients.

        An LMTP server's replies are read as they are asked for: those that came before it fell
        silent hold all the same.
        """
        if self.lmtp:
            return (self._read_verdict() for _ in range(count))
        exdata_lines = _LINES_PER_VERDICT * count if verdicts is Verdicts.EXDATA else 0
        reply = self.stream.read_reply(
            self._timeouts["command"],
            max_lines=MAX_REPLY_LINES + exdata_lines,
            # A server may judge one recipient after the other while it answers.
            per_line=verdicts is Verdicts.EXDATA,
        )
        if verdicts is Verdicts.EXDATA and reply.code == exdata.EXDATA_CODE:
            return exdata.for_recipients(reply, count)
        if verdicts is Verdicts.PRDR and reply.code == exdata.PRDR_CODE:
            single = [self._read_verdict() for _ in range(count)]
            final = self._read_verdict()
            return [exdata.combine_prdr(verdict, final) for verdict in single]
        return [_final(reply)] * count

    def _read_verdict(self) -> Reply:
        return _final(self.stream.read_reply(self._timeouts["command"]))

    def send_nothing(self) -> None:
        """End a DATA that no recipient is left for; the reply does not matter.

        An LMTP server must not have asked for it (RFC 2033 4.2), and owes no reply now.
        """
        if self.lmtp:
            raise GarbledReply("the peer asks for the data of a message that it takes for nobody")
        self.stream.write(b".\r\n", self._timeouts["data"])
        self.unfinished = False
        self.stream.read_reply(self._timeouts["command"])

    def quit(self) -> None:
        """Part politely, but do not insist; the connection is closed in any case."""
        try:
            self._command("QUIT", "quit")
        except (PeerGone, GarbledReply):
            pass
        finally:
            self.close()

    def close(self) -> None:
        self.stream.close()

    def _command(self, line: str, timeout: str) -> Reply:
        self.stream.write(f"{line}\r\n".encode(), self._timeouts[timeout])
        return self.stream.read_reply(self._timeouts[timeout])

    def _write(self, commands: Sequence[str]) -> None:
        if any("\r" in command or "\n" in command for command in commands):
            raise ValueError("an SMTP command cannot hold a line end")
        lines = "".join(f"{command}\r\n" for command in commands)
        self.stream.write(lines.encode("utf-8", "surrogateescape"), self._timeouts["command"])


@dataclass(frozen=True, slots=True)
class Answer:
    """What the peer said about the recipient number `index`, and to which command."""

    index: int
    command: str
    reply: Reply


class Transaction:
    """One MAIL up to the end of DATA. Use `answers` to its end, then `content`.

    With PIPELINING the commands MAIL, RCPT and DATA leave in one write (RFC 2920). BDAT does not:
    the content would go to a peer that takes it for nobody.
    """

    def __init__(
        self,
        client: SmtpClient,
        mail: str,
        recipients: Sequence[str],
        verdicts: Verdicts,
        *,
        chunked: bool,
    ) -> None:
        self._client = client
        self._mail = mail
        self._recipients = recipients
        self._verdicts = verdicts
        self._chunked = chunked
        self._early_data: Reply | None = None
        self.accepted: list[int] = []

    def answers(self) -> Iterator[Answer]:
        """One answer for each recipient, as it comes; a refused MAIL answers for all of them."""
        pipelining = self._client.pipelining
        commands = [self._mail, *self._recipients]
        early_data = pipelining and not self._chunked
        replies = self._client.exchange([*commands, "DATA"] if early_data else commands)
        mail = next(replies)
        if mail.is_positive:
            self._client.unfinished = True
            yield from self._answers_to_rcpt(replies)
        else:
            yield from (Answer(i, self._mail, mail) for i in range(len(self._recipients)))
            if pipelining:
                for _ in self._recipients:
                    next(replies)
        if early_data:
            self._early_data = next(replies)
            if not self.accepted and self._early_data.code == 354:
                self._client.send_nothing()

    def _answers_to_rcpt(self, replies: Iterator[Reply]) -> Iterator[Answer]:
        for index, command in enumerate(self._recipients):
            reply = next(replies)
            if reply.is_positive:
                self.accepted.append(index)
            yield Answer(index, command, reply)

    def content(self, content: bytes, before_final_dot: Callable[[], None]) -> Iterable[Reply]:
        """Send the content to the accepted recipients. One reply for each, in their order.

        It is the reply to DATA itself when that is negative. The replies of an LMTP server are
        read while they are gone through, which raises what reading them raises.
        """
        if self._chunked:
            return self._chunk(content, before_final_dot)
        go_ahead = self._early_data or next(self._client.exchange(["DATA"]))
        if go_ahead.code == 354:
            return self._send(self._client.send_content, content, before_final_dot)
        if go_ahead.is_positive:
            raise GarbledReply(f"the peer answered DATA with {go_ahead.code}")
        return [go_ahead] * len(self.accepted)

    def _chunk(self, content: bytes, before_end: Callable[[], None]) -> list[Reply]:
        replies = list(self._send(self._client.send_chunk, chunk_content(content), before_end))
        if replies[0].code in _NOT_UNDERSTOOD:
            # A fault of the peer's, or of a firewall before it, and no word on the mail.
            raise GarbledReply(f"the peer offers CHUNKING, but answers BDAT with {replies[0]}")
        return replies

    def _send(
        self,
        send: Callable[[bytes, Callable[[], None]], None],
        content: bytes,
        before_end: Callable[[], None],
    ) -> Iterable[Reply]:
        try:
            send(content, before_end)
        except PeerGone:
            refusal = self._client.parting_refusal()
            if refusal is None:
                raise
            return [refusal] * len(self.accepted)
        return self._client.read_verdicts(self._verdicts, len(self.accepted))


def _base64(said: bytes | None) -> str:
    return base64.b64encode(said or b"").decode()


def _final(reply: Reply) -> Reply:
    if reply.code // 100 == 3:
        raise GarbledReply(f"the peer answered the final dot with {reply.code}")
    return reply


@lru_cache(maxsize=1)
def unverified_tls() -> ssl.SSLContext:
    """TLS against listeners only: on port 25 names in certificates prove nothing (RFC 7435)."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def verified_tls() -> ssl.SSLContext:
    """TLS to a peer whose certificate names it, by the certificate authorities of the system.

    SSL_CERT_FILE and SSL_CERT_DIR name others. Not cached: authorities are replaced in place.
    """
    return ssl.create_default_context()


def _extensions(reply: Reply) -> dict[str, str]:
    """The EHLO keywords with their arguments; "AUTH=LOGIN" of old servers counts as AUTH."""
    offered: dict[str, str] = {}
    for line in reply.text.split("\n")[1:]:
        keyword, _, argument = line.replace("=", " ", 1).partition(" ")
        offered[keyword.upper()] = argument.strip()
    return offered
