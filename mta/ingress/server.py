"""Step 1: the SMTP session, an aiosmtpd protocol with our own line reader and DATA loop.

aiosmtpd gives the connection, its timer and its life; every verb is ours, because reading must
be bounded, replies gathered (RFC 2920), and each answer must be a decision on record.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

from aiosmtpd.smtp import SMTP
from django.db import DatabaseError

from mta import maillog
from mta.ingress import auth, replies, transaction
from mta.ingress.committer import CommitFailed, Committer
from mta.ingress.connections import Connections, plain_address
from mta.ingress.gate import PolicyGate
from mta.ingress.transaction import Record, Transaction
from mta.ingress.wire import BareLineEnd, Budget, Closed, Data, LineTooLong, Wire
from mta.intake import Arrival, Router
from mta.policy import sender
from mta.policy.decision import Decision, Stage, decide
from mta.policy.facts import AuthFacts, Facts, MailFacts, Policy, RcptFacts, SessionFacts
from mta.protocol import address, parameters
from mta.protocol.envelope import Recipient
from mta.protocol.queue_id import encode_queue_id
from mta.protocol.reply import Reply
from mta.queue.commit import storable
from mta.queue.ids import IdMaker

log = logging.getLogger(__name__)

COMMAND_LIMIT = 2048
AUTH_LINE_LIMIT = 12288
COMMAND_SECONDS = 300
TLS_SECONDS = 30
ERRORS_ALLOWED = 20
AUTH_FAILURES_ALLOWED = 3
AUTH_FAILURE_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Listener:
    """A door: its name in the history, whether users only, whether TLS from the first octet."""

    name: str
    auth_required: bool = False
    implicit_tls: bool = False


@dataclass(slots=True)
class House:
    """What all sessions of a process share. `tls` is None without a certificate."""

    hostname: str
    gate: PolicyGate
    committer: Committer
    router: Router
    ids: IdMaker
    budget: Budget
    connections: Connections
    tls: ssl.SSLContext | None = None
    stopping: bool = False


class _End(Exception):
    """The session is over; what was said last is flushed."""


class Session(SMTP):
    """One connection. Verbs are the `verb_*` methods, found by name in `_VERBS`."""

    def __init__(self, house: House, listener: Listener, sessions: "set[Session]") -> None:
        """`sessions` holds the open sessions of the process; this one enters and leaves it."""
        super().__init__(None, hostname=house.hostname, timeout=COMMAND_SECONDS)
        self._house = house
        self._listener = listener
        self._sessions = sessions
        self._wire = Wire(self._pause, self._resume)
        self._out: list[bytes] = []
        self._facts = SessionFacts(client_ip="")
        self._esmtp = False
        self._transaction: Transaction | None = None
        self._history: list[Record] = []
        self._errors = 0
        self._auth_failures = 0
        self._client_ip = ""

    # --- the life of the connection -----------------------------------------------------------

    def connection_made(self, connection: asyncio.BaseTransport) -> None:
        peer = connection.get_extra_info("peername")
        self._client_ip = plain_address(peer[0]) if peer else "127.0.0.1"
        same_address, same_network, total = self._house.connections.opened(self._client_ip)
        self._facts = SessionFacts(
            client_ip=self._client_ip,
            listener=self._listener.name,
            auth_required=self._listener.auth_required,
            tls=_describe_tls(connection),
            same_address=same_address,
            same_network=same_network,
            all_connections=total,
        )
        self._sessions.add(self)
        super().connection_made(connection)

    def data_received(self, data: bytes) -> None:
        self._wire.feed(data)

    def eof_received(self) -> bool:
        # The client may have said everything and wait for the answers.
        self._wire.feed_eof()
        return not self._facts.tls

    def connection_lost(self, error: Exception | None) -> None:
        self._sessions.discard(self)
        self._house.connections.closed(self._client_ip)
        self._wire.feed_eof()
        super().connection_lost(error)

    def _timeout_cb(self) -> None:
        if (pipe := self._pipe) is not None:
            pipe.write(replies.TIMED_OUT.encode())
            pipe.close()

    def close_soon(self) -> None:
        """The process ends: an idle client is told so; a transaction may still finish."""
        pipe = self._pipe
        if self._transaction is None and self._wire.is_empty and pipe is not None:
            pipe.write(replies.SHUTTING_DOWN.encode())
            pipe.close()

    @property
    def _pipe(self) -> asyncio.Transport | None:
        """The transport while the connection is open."""
        pipe = cast(asyncio.Transport | None, self.transport)
        return None if pipe is None or pipe.is_closing() else pipe

    async def _handle_client(self) -> None:
        try:
            await self._greet()
            while True:
                if not self._wire.has_line:
                    await self._flush()
                await self._command()
        except (Closed, ConnectionError):
            pass
        except _End:
            await self._flush_quietly()
        except Exception:
            # A bug must cost one connection, never the process, and never show itself outside.
            log.exception("session with %s failed", self._client_ip)
            self._out.append(replies.LOCAL_TROUBLE.encode())
            await self._flush_quietly()
        finally:
            if self.transport is not None:
                self.transport.close()

    async def _greet(self) -> None:
        decision = decide(Stage.CONNECT, Facts(session=self._facts), self._house.gate.policy)
        if not decision.accepted:
            self._refused(decision, "")
            self._out.append(decision.reply.encode())
            raise _End
        self._remember(decision, self._client_ip)
        self._say(Reply(220, "", f"{self._house.hostname} ESMTP CourierWeb"))

    async def _command(self) -> None:
        """Read one command and answer it."""
        self._reset_timeout()
        try:
            line = await self._wire.line(COMMAND_LIMIT)
        except LineTooLong:
            return self._complain(replies.LINE_TOO_LONG)
        except BareLineEnd:
            return self._complain(replies.BARE_LINE_END)
        if self._house.stopping and self._transaction is None:
            self._say(replies.SHUTTING_DOWN)
            raise _End
        verb, _, argument = line.partition(b" ")
        action = _VERBS.get(verb.upper())
        if action is None:
            return self._complain(replies.UNKNOWN_COMMAND)
        try:
            text = argument.strip().decode("utf-8")
        except UnicodeDecodeError:
            return self._complain(replies.NOT_ASCII)
        try:
            await action(self, text)
        except DatabaseError as error:
            log.error("the directory does not answer: %s", error)
            self._say(replies.LOCAL_TROUBLE)

    # --- verbs ----------------------------------------------------------------------------------

    async def verb_helo(self, argument: str) -> None:
        if self._hello(argument, esmtp=False):
            self._say(Reply(250, "", self._house.hostname))

    async def verb_ehlo(self, argument: str) -> None:
        if self._hello(argument, esmtp=True):
            self._say(Reply(250, "", "\n".join([self._house.hostname, *self._extensions()])))

    async def verb_starttls(self, argument: str) -> None:
        """RFC 3207: what came in clear before is forgotten, and so is the greeting."""
        if argument:
            return self._complain(replies.NO_ARGUMENT_ALLOWED)
        if self._facts.tls:
            return self._complain(replies.TLS_ACTIVE)
        if self._house.tls is None:
            return self._complain(replies.TLS_UNAVAILABLE)
        self._say(replies.TLS_READY)
        await self._flush()
        self._wire.discard()
        await self._start_tls(self._house.tls)
        self._transaction = None
        self._esmtp = False
        self._history = self._history[:1]
        self._facts = replace(self._facts, helo="", auth_user="", tls=_describe_tls(self.transport))
        return None

    async def verb_auth(self, argument: str) -> None:
        if not self._facts.helo:
            return self._complain(replies.NEED_HELO)
        if self._facts.auth_user:
            return self._complain(replies.ALREADY_AUTHENTICATED)
        if self._transaction is not None:
            return self._complain(replies.NESTED_MAIL)
        mechanism, _, initial = argument.partition(" ")
        policy = await self._house.gate.current()
        asked = Facts(session=self._facts, auth=AuthFacts(mechanism.upper()))
        if not sender.may_authenticate(asked, policy):
            decision = decide(Stage.AUTH, asked, policy)
            self._refused(decision, "")
            return self._complain(decision.reply)
        make_exchange = auth.MECHANISMS.get(mechanism.upper())
        if make_exchange is None:
            return self._complain(replies.AUTH_UNKNOWN)
        try:
            first = auth.decode(initial.encode()) if initial else None
            credentials = await self._converse(make_exchange(first))
        except auth.Malformed:
            return self._complain(replies.AUTH_MALFORMED)
        if credentials is None:
            return self._complain(replies.AUTH_CANCELLED)
        await self._check_credentials(mechanism.upper(), credentials, policy)
        return None

    async def verb_mail(self, argument: str) -> None:
        if not self._facts.helo:
            return self._complain(replies.NEED_HELO)
        if self._transaction is not None:
            return self._complain(replies.NESTED_MAIL)
        try:
            path, text = _path_argument("FROM:", argument)
            given = parameters.parse_mail(text)
            reverse_path = address.parse(path) if path else ""
        except parameters.ParameterError as error:
            return self._complain(_parameter_reply(error))
        except address.AddressError as error:
            return self._complain(_address_reply(replies.MAIL_SYNTAX, "5.1.7", error))
        policy = await self._house.gate.current()
        mail = MailFacts(reverse_path, given.size, given.smtputf8)
        opened = Transaction(policy, mail, given)
        decision = decide(Stage.MAIL, opened.facts(self._facts), policy)
        if not decision.accepted:
            self._refused(decision, "", reverse_path)
            return self._complain(decision.reply)
        opened.decisions.append(transaction.decision_record(decision, reverse_path, _now()))
        self._transaction = opened
        return self._say(decision.reply)

    async def verb_rcpt(self, argument: str) -> None:
        current = self._transaction
        if current is None:
            return self._complain(replies.NEED_MAIL)
        try:
            path, text = _path_argument("TO:", argument)
            given = parameters.parse_rcpt(text)
            if not path:
                return self._complain(replies.NULL_RECIPIENT)
            recipient = transaction.recipient_address(path, self._house.hostname)
        except parameters.ParameterError as error:
            return self._complain(_parameter_reply(error))
        except address.AddressError as error:
            return self._complain(_address_reply(replies.RCPT_SYNTAX, "5.1.3", error))
        if not recipient.isascii() and not current.mail.smtputf8:
            return self._complain(Reply(553, "5.6.7", "SMTPUTF8 is required"))
        (resolution,) = await self._house.gate.resolutions([recipient])
        rcpt = RcptFacts(resolution, len(current.accepted))
        decision = decide(Stage.RCPT, current.facts(self._facts, rcpt=rcpt), current.policy)
        if not decision.accepted:
            self._refused(decision, recipient, current.mail.reverse_path)
            current.decisions.append(transaction.decision_record(decision, recipient, _now()))
            return self._complain(decision.reply)
        current.accepted.append((Recipient(recipient, given.notify, given.orcpt), resolution))
        current.decisions.append(transaction.decision_record(decision, recipient, _now()))
        return self._say(decision.reply)

    async def verb_data(self, argument: str) -> None:
        current = self._transaction
        if argument:
            return self._complain(replies.NO_ARGUMENT_ALLOWED)
        if current is None:
            return self._complain(replies.NEED_MAIL)
        if not current.accepted:
            return self._complain(replies.NO_VALID_RECIPIENTS)
        self._say(replies.GO_AHEAD)
        await self._flush()
        data = await self._read_data(current.policy)
        try:
            await self._accept(current, data)
        finally:
            self._house.budget.give_back(data.reserved)
            self._transaction = None
        return None

    async def verb_rset(self, argument: str) -> None:
        if argument:
            return self._complain(replies.NO_ARGUMENT_ALLOWED)
        self._transaction = None
        return self._say(replies.OK)

    async def verb_noop(self, argument: str) -> None:
        self._say(replies.OK)

    async def verb_quit(self, argument: str) -> None:
        if argument:
            return self._complain(replies.NO_ARGUMENT_ALLOWED)
        self._say(replies.BYE)
        raise _End

    async def verb_vrfy(self, argument: str) -> None:
        self._say(replies.CANNOT_VERIFY)

    async def verb_help(self, argument: str) -> None:
        self._say(replies.HELP)

    async def verb_not_implemented(self, argument: str) -> None:
        self._complain(replies.NOT_IMPLEMENTED)

    # --- steps of the verbs -----------------------------------------------------------------------

    def _hello(self, name: str, *, esmtp: bool) -> bool:
        """HELO and EHLO also end a transaction (RFC 5321 4.1.4)."""
        if not name or len(name) > 255 or not name.isprintable() or " " in name:
            self._complain(replies.BAD_HELO)
            return False
        self._transaction = None
        self._esmtp = esmtp
        self._facts = replace(self._facts, helo=name)
        decision = decide(Stage.HELO, Facts(session=self._facts), self._house.gate.policy)
        if decision.accepted:
            self._history = self._history[:1]
            self._remember(decision, name)
        else:
            self._refused(decision, "")
            self._complain(decision.reply)
        return decision.accepted

    def _extensions(self) -> list[str]:
        policy = self._house.gate.policy
        lines = ["PIPELINING", f"SIZE {policy.limits.size}", "8BITMIME", "SMTPUTF8"]
        lines += ["ENHANCEDSTATUSCODES", "DSN"]
        if not self._facts.tls and self._house.tls is not None:
            lines.append("STARTTLS")
        if sender.may_authenticate(Facts(session=self._facts), policy):
            lines.append(f"AUTH {' '.join(auth.MECHANISMS)}")
        return lines

    async def _converse(self, exchange: auth.Exchange) -> auth.Credentials | None:
        """Carry challenges and responses; None when the client cancels with "*"."""
        try:
            challenge = next(exchange)
            while True:
                self._say(Reply(334, "", auth.encode(challenge)))
                await self._flush()
                try:
                    line = await self._wire.line(AUTH_LINE_LIMIT)
                except (LineTooLong, BareLineEnd) as error:
                    raise auth.Malformed from error
                if line == b"*":
                    return None
                challenge = exchange.send(auth.decode(line))
        except StopIteration as done:
            credentials: auth.Credentials = done.value
            return credentials

    async def _check_credentials(
        self, mechanism: str, credentials: auth.Credentials, policy: Policy
    ) -> None:
        user = credentials.user.lower()
        accepted = credentials.authorization.lower() in ("", user)
        if accepted:
            accepted = await self._house.gate.authenticate(user, credentials.password)
        facts = Facts(session=self._facts, auth=AuthFacts(mechanism, storable(user), accepted))
        decision = decide(Stage.AUTH, facts, policy)
        if decision.accepted:
            self._facts = replace(self._facts, auth_user=user)
            self._remember(decision, user)
            return self._say(decision.reply)
        self._refused(decision, user)
        self._auth_failures += 1
        await asyncio.sleep(AUTH_FAILURE_PAUSE)
        self._complain(decision.reply)
        if self._auth_failures >= AUTH_FAILURES_ALLOWED:
            self._say(replies.TOO_MANY_ERRORS)
            raise _End
        return None

    async def _read_data(self, policy: Policy) -> Data:
        """The content, with the timer set anew as long as octets come."""
        reading = asyncio.ensure_future(self._wire.data(policy.limits.size, self._house.budget))
        while not reading.done():
            self._reset_timeout()
            await asyncio.wait([reading], timeout=COMMAND_SECONDS / 2)
        return reading.result()

    async def _accept(self, current: Transaction, data: Data) -> None:
        """Judge the content and commit; the 250 is said after the commit and not before."""
        content = data.content
        if content is None and not data.too_big:
            return self._complain(replies.NO_MEMORY)
        if content is not None and self._facts.auth_user:
            content = transaction.normalize_line_ends(content)
        measured = transaction.measure(content or b"", data.size)
        facts = current.facts(self._facts, content=measured)
        decision = decide(Stage.CONTENT, facts, current.policy)
        if not decision.accepted or content is None:
            recipients = " ".join(recipient.address for recipient, _ in current.accepted[:20])
            self._refused(decision, recipients, current.mail.reverse_path)
            return self._complain(decision.reply)
        now = _now()
        current.decisions.append(transaction.decision_record(decision, "", now))
        submission = transaction.make_submission(
            current,
            self._facts,
            self._esmtp,
            content,
            Arrival(self._house.ids.next(), now),
            self._house.router,
            self._history,
        )
        try:
            await self._house.committer.commit(submission)
        except CommitFailed:
            return self._say(replies.LOCAL_TROUBLE)
        queue_id = encode_queue_id(submission.id)
        maillog.accepted(
            queue_id=queue_id,
            client_ip=self._client_ip,
            helo=self._facts.helo,
            reverse_path=current.mail.reverse_path,
            recipients=len(submission.recipients),
            size=len(submission.content),
        )
        return self._say(Reply(250, "2.0.0", f"Ok: queued as {queue_id}"))

    async def _start_tls(self, context: ssl.SSLContext) -> None:
        try:
            await self._writer.start_tls(context, ssl_handshake_timeout=TLS_SECONDS)
        except (ssl.SSLError, OSError, TimeoutError) as error:
            log.info("TLS handshake with %s failed: %s", self._client_ip, error)
            raise Closed from error
        self.transport = self._writer.transport

    # --- speaking ---------------------------------------------------------------------------------

    def _say(self, reply: Reply) -> None:
        self._out.append(reply.encode())

    def _complain(self, reply: Reply) -> None:
        """Answer an error; too many of them end the session (RFC 5321 7.8)."""
        self._say(reply)
        self._errors += 1
        if self._errors > ERRORS_ALLOWED:
            self._say(replies.TOO_MANY_ERRORS)
            raise _End

    async def _flush(self) -> None:
        if self._out:
            octets = b"".join(self._out)
            self._out.clear()
            self._writer.write(octets)
            await self._writer.drain()

    async def _flush_quietly(self) -> None:
        try:
            await self._flush()
        except ConnectionError:
            pass

    def _pause(self) -> None:
        if (pipe := self._pipe) is not None:
            pipe.pause_reading()

    def _resume(self) -> None:
        if (pipe := self._pipe) is not None:
            pipe.resume_reading()

    # --- the record -------------------------------------------------------------------------------

    def _remember(self, decision: Decision, subject: str) -> None:
        self._history = [
            *self._history,
            transaction.decision_record(decision, subject, _now()),
        ]

    def _refused(self, decision: Decision, recipient: str, reverse_path: str | None = None) -> None:
        self._house.committer.refused(
            transaction.refusal_record(decision, self._facts, reverse_path, recipient, _now())
        )
        maillog.refused(
            client_ip=self._client_ip,
            helo=self._facts.helo,
            stage=decision.stage.value,
            reverse_path=reverse_path or "",
            recipient=recipient,
            rule=decision.rule,
            reply=str(decision.reply),
        )


_Verb = Callable[[Session, str], Awaitable[None]]

_VERBS: dict[bytes, _Verb] = {
    b"HELO": Session.verb_helo,
    b"EHLO": Session.verb_ehlo,
    b"STARTTLS": Session.verb_starttls,
    b"AUTH": Session.verb_auth,
    b"MAIL": Session.verb_mail,
    b"RCPT": Session.verb_rcpt,
    b"DATA": Session.verb_data,
    b"RSET": Session.verb_rset,
    b"NOOP": Session.verb_noop,
    b"QUIT": Session.verb_quit,
    b"VRFY": Session.verb_vrfy,
    b"HELP": Session.verb_help,
    b"EXPN": Session.verb_not_implemented,
    b"ETRN": Session.verb_not_implemented,
    b"TURN": Session.verb_not_implemented,
}


def _path_argument(keyword: str, argument: str) -> tuple[str, str]:
    """ "FROM:<path> PARAMETERS" as (path, parameters). Blanks after the colon are forgiven.

    Raises AddressError.
    """
    if argument[: len(keyword)].upper() != keyword:
        raise address.AddressError(f"{keyword} is expected")
    return address.parse_path(argument[len(keyword) :].strip())


def _parameter_reply(error: parameters.ParameterError) -> Reply:
    return Reply(555 if error.unknown else 501, "5.5.4", str(error))


def _address_reply(syntax: Reply, status: str, error: address.AddressError) -> Reply:
    """501 for a malformed command or address, with the reason (RFC 5321 4.2.2)."""
    return Reply(syntax.code, status, f"{error} ({syntax.text})")


def _describe_tls(connection: Any) -> str:
    tls = connection.get_extra_info("ssl_object")
    if tls is None:
        return ""
    cipher = tls.cipher()
    return f"{tls.version()} {cipher[0]}" if cipher else str(tls.version())


def _now() -> datetime:
    return datetime.now(UTC)
