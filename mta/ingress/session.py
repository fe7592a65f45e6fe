"""Step 1: what is said in a session, verb by verb (RFC 5321 4.1).

Each verb gathers facts, asks `decide`, and answers what it says; nothing is decided here.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

from django.db import DatabaseError, InterfaceError

from mta import maillog
from mta.ingress import arguments, auth, replies, transaction
from mta.ingress.arguments import BadArgument
from mta.ingress.committer import CommitFailed
from mta.ingress.house import House, Listener
from mta.ingress.server import Connection, End
from mta.ingress.transaction import Record, Transaction
from mta.ingress.wire import BareLineEnd, Data, LineTooLong
from mta.intake import Arrival
from mta.policy import sender
from mta.policy.decision import Decision, Stage, decide
from mta.policy.facts import AuthFacts, Facts, Policy, RcptFacts
from mta.protocol.queue_id import encode_queue_id
from mta.protocol.reply import Reply
from mta.queue.commit import storable

log = logging.getLogger(__name__)

COMMAND_LIMIT = 2048
AUTH_LINE_LIMIT = 12288
AUTH_FAILURES_ALLOWED = 3
AUTH_FAILURE_PAUSE = 1.0


class Session(Connection):
    """One session. Verbs are the `verb_*` methods, found by name in `_VERBS`."""

    def __init__(self, house: House, listener: Listener, open_ones: set[Connection]) -> None:
        super().__init__(house, listener, open_ones)
        self._esmtp = False
        self._transaction: Transaction | None = None
        self._history: list[Record] = []
        self._auth_failures = 0

    @property
    def is_idle(self) -> bool:
        return self._transaction is None

    async def greet(self) -> None:
        decision = decide(Stage.CONNECT, Facts(session=self.facts), await self._policy_now())
        if not decision.accepted:
            self._refused(decision, "")
            self._out.append(decision.reply.encode())
            raise End
        self._remember(decision, self.facts.client_ip)
        self.say(Reply(220, "", f"{self.house.hostname} ESMTP CourierWeb"))

    async def converse(self) -> None:
        """Read one command and answer it."""
        self._reset_timeout()
        try:
            line = await self.wire.line(COMMAND_LIMIT)
        except LineTooLong:
            return self.complain(replies.LINE_TOO_LONG)
        except BareLineEnd:
            return self.complain(replies.BARE_LINE_END)
        if self.house.stopping and self._transaction is None:
            self.say(replies.SHUTTING_DOWN)
            raise End
        verb, _, argument = line.partition(b" ")
        action = _VERBS.get(verb.upper())
        if action is None:
            return self.complain(replies.UNKNOWN_COMMAND)
        try:
            text = argument.strip().decode("utf-8")
        except UnicodeDecodeError:
            return self.complain(replies.NOT_UTF8)
        try:
            await action(self, text)
        except BadArgument as error:
            self.complain(error.reply)
        except (DatabaseError, InterfaceError) as error:
            log.error("the directory does not answer: %s", error)
            self.say(replies.LOCAL_TROUBLE)

    # --- verbs ----------------------------------------------------------------------------------

    async def verb_helo(self, argument: str) -> None:
        if self._hello(argument, esmtp=False):
            self.say(Reply(250, "", self.house.hostname))

    async def verb_ehlo(self, argument: str) -> None:
        if self._hello(argument, esmtp=True):
            self.say(Reply(250, "", "\n".join([self.house.hostname, *self._extensions()])))

    async def verb_starttls(self, argument: str) -> None:
        """RFC 3207: what came in clear before is forgotten, and so is the greeting."""
        if argument:
            return self.complain(replies.NO_ARGUMENT_ALLOWED)
        if self.facts.tls:
            return self.complain(replies.TLS_ACTIVE)
        if self.house.tls is None:
            return self.complain(replies.TLS_UNAVAILABLE)
        self.say(replies.TLS_READY)
        await self.flush()
        await self.start_tls(self.house.tls)
        self._transaction = None
        self._esmtp = False
        self._history = self._history[:1]
        return None

    async def verb_auth(self, argument: str) -> None:
        if not self.facts.helo:
            return self.complain(replies.NEED_HELO)
        if self.facts.auth_user:
            return self.complain(replies.ALREADY_AUTHENTICATED)
        if self._transaction is not None:
            return self.complain(replies.NESTED_MAIL)
        mechanism, _, initial = argument.partition(" ")
        policy = await self.house.gate.current()
        asked = Facts(session=self.facts, auth=AuthFacts(mechanism.upper()))
        if not sender.may_authenticate(asked, policy):
            decision = decide(Stage.AUTH, asked, policy)
            self._refused(decision, "")
            return self.complain(decision.reply)
        make_exchange = auth.MECHANISMS.get(mechanism.upper())
        if make_exchange is None:
            return self.complain(replies.AUTH_UNKNOWN)
        try:
            first = auth.decode(initial.encode()) if initial else None
            credentials = await self._exchange(make_exchange(first))
        except auth.Malformed:
            return self.complain(replies.AUTH_MALFORMED)
        if credentials is None:
            return self.complain(replies.AUTH_CANCELLED)
        await self._check_credentials(mechanism.upper(), credentials, policy)
        return None

    async def verb_mail(self, argument: str) -> None:
        if not self.facts.helo:
            return self.complain(replies.NEED_HELO)
        if self._transaction is not None:
            return self.complain(replies.NESTED_MAIL)
        mail = arguments.parse_mail(argument)
        policy = await self.house.gate.current()
        reverse_path = mail.facts.reverse_path
        facts = mail.facts
        if user := self.facts.auth_user:
            facts = replace(facts, user_enabled=await self.house.gate.is_enabled(user))
        opened = Transaction(policy, facts, mail.parameters)
        decision = decide(Stage.MAIL, opened.facts(self.facts), policy)
        if not decision.accepted:
            self._refused(decision, "", reverse_path)
            return self.complain(decision.reply)
        opened.decisions.append(transaction.decision_record(decision, reverse_path, _now()))
        self._transaction = opened
        return self.say(decision.reply)

    async def verb_rcpt(self, argument: str) -> None:
        current = self._transaction
        if current is None:
            return self.complain(replies.NEED_MAIL)
        recipient = arguments.parse_rcpt(
            argument, self.house.hostname, smtputf8=current.mail.smtputf8
        )
        address = recipient.address
        (resolution,) = await self.house.gate.resolutions([address])
        rcpt = RcptFacts(resolution, len(current.accepted))
        decision = decide(Stage.RCPT, current.facts(self.facts, rcpt=rcpt), current.policy)
        current.decisions.append(transaction.decision_record(decision, address, _now()))
        if not decision.accepted:
            self._refused(decision, address, current.mail.reverse_path)
            return self.complain(decision.reply)
        current.accepted.append((recipient, resolution))
        return self.say(decision.reply)

    async def verb_data(self, argument: str) -> None:
        current = self._transaction
        if argument:
            return self.complain(replies.NO_ARGUMENT_ALLOWED)
        if current is None:
            return self.complain(replies.NEED_MAIL)
        if not current.accepted:
            return self.complain(replies.NO_VALID_RECIPIENTS)
        self.say(replies.GO_AHEAD)
        await self.flush()
        data = await self.read_data(current.policy.limits.size)
        try:
            await self._accept(current, data)
        finally:
            self.house.budget.give_back(data.reserved)
            self._transaction = None
        return None

    async def verb_rset(self, argument: str) -> None:
        if argument:
            return self.complain(replies.NO_ARGUMENT_ALLOWED)
        self._transaction = None
        return self.say(replies.OK)

    async def verb_noop(self, argument: str) -> None:
        self.say(replies.OK)

    async def verb_quit(self, argument: str) -> None:
        if argument:
            return self.complain(replies.NO_ARGUMENT_ALLOWED)
        self.say(replies.BYE)
        raise End

    async def verb_vrfy(self, argument: str) -> None:
        self.say(replies.CANNOT_VERIFY)

    async def verb_help(self, argument: str) -> None:
        self.say(replies.HELP)

    async def verb_not_implemented(self, argument: str) -> None:
        self.complain(replies.NOT_IMPLEMENTED)

    # --- steps of the verbs -----------------------------------------------------------------------

    async def _policy_now(self) -> Policy:
        """The policy in force; with the database away the last one seen, since MAIL will tell."""
        try:
            return await self.house.gate.current()
        except (DatabaseError, InterfaceError) as error:
            log.error("the directory does not answer: %s", error)
            return self.house.gate.policy

    def _hello(self, argument: str, *, esmtp: bool) -> bool:
        """HELO and EHLO also end a transaction (RFC 5321 4.1.4)."""
        name = arguments.parse_hello(argument)
        self._transaction = None
        self._esmtp = esmtp
        self.facts = replace(self.facts, helo=name)
        decision = decide(Stage.HELO, Facts(session=self.facts), self.house.gate.policy)
        if decision.accepted:
            self._history = self._history[:1]
            self._remember(decision, name)
        else:
            self._refused(decision, "")
            self.complain(decision.reply)
        return decision.accepted

    def _extensions(self) -> list[str]:
        policy = self.house.gate.policy
        lines = ["PIPELINING", f"SIZE {policy.limits.size}", "8BITMIME", "SMTPUTF8"]
        lines += ["ENHANCEDSTATUSCODES", "DSN"]
        if not self.facts.tls and self.house.tls is not None:
            lines.append("STARTTLS")
        if sender.may_authenticate(Facts(session=self.facts), policy):
            lines.append(f"AUTH {' '.join(auth.MECHANISMS)}")
        return lines

    async def _exchange(self, exchange: auth.Exchange) -> auth.Credentials | None:
        """Carry challenges and responses; None when the client cancels with "*"."""
        try:
            challenge = next(exchange)
            while True:
                self.say(Reply(334, "", auth.encode(challenge)))
                await self.flush()
                try:
                    line = await self.wire.line(AUTH_LINE_LIMIT)
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
            accepted = await self.house.gate.authenticate(user, credentials.password)
        facts = Facts(session=self.facts, auth=AuthFacts(mechanism, storable(user), accepted))
        decision = decide(Stage.AUTH, facts, policy)
        if decision.accepted:
            self.facts = replace(self.facts, auth_user=user)
            self._remember(decision, user)
            return self.say(decision.reply)
        self._refused(decision, user)
        self._auth_failures += 1
        await asyncio.sleep(AUTH_FAILURE_PAUSE)
        self.complain(decision.reply)
        if self._auth_failures >= AUTH_FAILURES_ALLOWED:
            self.say(replies.TOO_MANY_ERRORS)
            raise End
        return None

    async def _accept(self, current: Transaction, data: Data) -> None:
        """Judge the content and commit; the 250 is said after the commit and not before."""
        content = data.content
        if content is None and not data.too_big:
            return self.complain(replies.NO_MEMORY)
        if content is not None and self.facts.auth_user:
            content = transaction.normalize_line_ends(content)
        measured = transaction.measure(content or b"", data.size)
        facts = current.facts(self.facts, content=measured)
        decision = decide(Stage.CONTENT, facts, current.policy)
        if not decision.accepted or content is None:
            recipients = " ".join(recipient.address for recipient, _ in current.accepted[:20])
            self._refused(decision, recipients, current.mail.reverse_path)
            return self.complain(decision.reply)
        now = _now()
        current.decisions.append(transaction.decision_record(decision, "", now))
        submission = transaction.make_submission(
            current,
            self.facts,
            self._esmtp,
            content,
            Arrival(self.house.ids.next(), now),
            self.house.router,
            self._history,
        )
        try:
            await self.house.committer.commit(submission)
        except CommitFailed:
            return self.say(replies.LOCAL_TROUBLE)
        queue_id = encode_queue_id(submission.id)
        maillog.accepted(
            queue_id=queue_id,
            client_ip=self.facts.client_ip,
            helo=self.facts.helo,
            reverse_path=current.mail.reverse_path,
            recipients=len(submission.recipients),
            size=len(submission.content),
        )
        return self.say(Reply(250, "2.0.0", f"Ok: queued as {queue_id}"))

    # --- the record -------------------------------------------------------------------------------

    def _remember(self, decision: Decision, subject: str) -> None:
        self._history = [
            *self._history,
            transaction.decision_record(decision, subject, _now()),
        ]

    def _refused(self, decision: Decision, recipient: str, reverse_path: str | None = None) -> None:
        self.house.committer.refused(
            transaction.refusal_record(decision, self.facts, reverse_path, recipient, _now())
        )
        maillog.refused(
            client_ip=self.facts.client_ip,
            helo=self.facts.helo,
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


def _now() -> datetime:
    return datetime.now(UTC)
