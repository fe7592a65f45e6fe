"""AUTHENTICATE (RFC 5804 2.1), by the mechanisms and the rules of SMTP AUTH."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from mta import maillog
from mta.ingress import auth, sign_in, transaction
from mta.ingress.inquiry import Examiner
from mta.managesieve.connection import STRANGER_SECONDS, Connection, End
from mta.policy import sender
from mta.policy.decision import Decision, Stage
from mta.policy.facts import AuthFacts, Facts, Policy
from mta.protocol import channel_binding
from mta.protocol.managesieve import MAX_LINE, BadCommand, Reply, Word, read_string
from mta.queue.commit import storable

FAILURES_ALLOWED = 3
FAILURE_PAUSE = 1.0
MECHANISMS = (
    auth.Mechanism.SCRAM_SHA_256_PLUS,
    auth.Mechanism.SCRAM_SHA_256,
    auth.Mechanism.PLAIN,
)
# RFC 5804 1.3, for a refusal of ours by the reply that SMTP would give.
_CODES = {538: "ENCRYPT-NEEDED", 454: "TRYLATER"}


class SignIn:
    """That of one connection."""

    def __init__(self, connection: Connection, examiner: Examiner) -> None:
        self._connection = connection
        self._examiner = examiner
        self._house = connection.house
        self._failures = 0
        self._success_data = ""

    async def offered(self) -> tuple[auth.Mechanism, ...]:
        """The strongest first; none where passwords may not travel."""
        connection = self._connection
        policy = self._house.gate.policy
        mechanisms = auth.offered(
            tls=bool(connection.facts.tls),
            in_clear_allowed=sender.may_authenticate(Facts(session=connection.facts), policy),
            channel_binding=bool(self._channel().bindings),
            client_certificate=False,
        )
        return tuple(each for each in mechanisms if each in MECHANISMS)

    async def authenticate(self, name: str, initial: str | None) -> Reply:
        """Raises BadCommand, End, DatabaseError."""
        if self._connection.facts.auth_user:
            raise BadCommand("signed in already")
        policy = await self._house.gate.current()
        if refusal := await self._judge(AuthFacts(name.upper()), policy):
            return refusal
        if name.upper() not in await self.offered():
            raise BadCommand("that mechanism is not offered")
        mechanism = auth.Mechanism(name.upper())
        self._success_data = ""
        try:
            first = None if initial is None else _decode(initial)
            exchange = auth.start(mechanism, first, self._channel())
            outcome = await sign_in.carry_out(exchange, self._house.gate, self._respond)
        except auth.Malformed:
            raise BadCommand("the response cannot be read") from None
        if outcome is None:
            return Reply(Word.NO, "cancelled")
        return await self._conclude(mechanism, outcome, policy)

    async def _conclude(
        self, mechanism: auth.Mechanism, outcome: auth.Outcome, policy: Policy
    ) -> Reply:
        user = outcome.user.lower()
        client_ip = self._connection.facts.client_ip
        accepted = await sign_in.is_user(outcome, self._house.gate, client_ip)
        refusal = await self._judge(AuthFacts(mechanism.value, storable(user), accepted), policy)
        if refusal is None:
            self._connection.facts = replace(self._connection.facts, auth_user=user)
            code = f'SASL "{self._success_data}"' if self._success_data else ""
            return Reply(Word.OK, "signed in", code)
        self._failures += 1
        await asyncio.sleep(FAILURE_PAUSE)
        if self._failures >= FAILURES_ALLOWED:
            raise End(Reply(Word.BYE, refusal.text))
        return refusal

    async def _judge(self, asked: AuthFacts, policy: Policy) -> Reply | None:
        """The refusal by the rules, which count failures; None when they accept."""
        facts = Facts(session=self._connection.facts, auth=asked)
        decision, _ = await self._examiner.judge(Stage.AUTH, facts, policy)
        self._record(decision, asked.user)
        if decision.accepted:
            return None
        return Reply(Word.NO, decision.reply.text, _CODES.get(decision.reply.code, ""))

    def _record(self, decision: Decision, user: str) -> None:
        facts = self._connection.facts
        now = datetime.now(UTC)
        for step in decision.logged:
            self._house.committer.refused(
                transaction.logged_record(decision, step, facts, None, user, now)
            )
        if decision.accepted:
            return
        self._house.committer.refused(transaction.refusal_record(decision, facts, None, user, now))
        maillog.refused(
            client_ip=facts.client_ip,
            helo="",
            stage=decision.stage.value,
            reverse_path="",
            recipient=user,
            rule=decision.rule,
            reply=str(decision.reply),
        )

    async def _respond(self, challenge: auth.Challenge) -> bytes | None:
        """The client's answer to a challenge, None when it cancels."""
        if challenge.is_last:
            # What proves us goes with the OK (RFC 5804 1.3, SASL).
            self._success_data = auth.encode(challenge)
            return b""
        await self._connection.say_line(auth.encode(challenge))
        response = await self._connection.read(read_string(MAX_LINE), STRANGER_SECONDS)
        return None if response == "*" else _decode(response)

    def _channel(self) -> auth.Channel:
        tls = self._connection.transport.get_extra_info("ssl_object")
        return auth.Channel(channel_binding.bindings(tls) if tls else {})


def _decode(text: str) -> bytes:
    """Base64. Raises Malformed."""
    if not text.isascii():
        raise auth.Malformed
    return auth.decode(text.encode())
