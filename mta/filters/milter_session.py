"""Step 3, one session with a milter: what the client has said so far is said again, in its order.

Ends where the question is, or where the filter has said enough. Raises ValueError when the filter
does not keep to the protocol, OSError and IncompleteReadError when it goes away.
"""

from collections.abc import Mapping

from mta.filters.unix_stream import Streams
from mta.protocol import milter
from mta.protocol.envelope import Source
from mta.protocol.milter import (
    Action,
    Answer,
    Command,
    Quarantine,
    Refusal,
    Step,
    Terms,
    Verdict,
)
from mta.protocol.milter_changes import EditedMessage
from mta.protocol.milter_macros import client_name, macros_for
from mta.protocol.reply import Reply
from mta.protocol.site_filter import FilterAction, FilterRequest, FilterStage, FilterVerdict

# Whom mail is from and for has been told to the client already, so nobody may change it; and
# recipients who were refused are not told of.
_ACTIONS = Action.ADD_HEADERS | Action.CHANGE_HEADERS | Action.CHANGE_BODY | Action.QUARANTINE
_STEPS = Step(2 * Step.LEADING_SPACE - 1) & ~Step.REJECTED_RCPT
OFFERED = Terms(milter.VERSION, _ACTIONS, _STEPS)
# The first version that knows the command.
_DATA_SINCE = 4

_REJECT = Reply(550, "5.7.1", "Command rejected")
_TEMPFAIL = Reply(451, "4.7.1", "Service unavailable - try again later")
_SHUTDOWN = Reply(451, "4.3.2", "Service shutting down - try again later")
# A reply that would announce the end of the connection, which does not end.
_CLOSING = 421

# What may be left out, and what is done without an answer.
_STEPS_OF: Mapping[Command, tuple[Step, Step]] = {
    Command.CONNECT: (Step.NO_CONNECT, Step.UNANSWERED_CONNECT),
    Command.HELO: (Step.NO_HELO, Step.UNANSWERED_HELO),
    Command.MAIL: (Step.NO_MAIL, Step.UNANSWERED_MAIL),
    Command.RCPT: (Step.NO_RCPT, Step.UNANSWERED_RCPT),
    Command.DATA: (Step.NO_DATA, Step.UNANSWERED_DATA),
    Command.HEADER: (Step.NO_HEADERS, Step.UNANSWERED_HEADER),
    Command.END_OF_HEADERS: (Step.NO_END_OF_HEADERS, Step.UNANSWERED_END_OF_HEADERS),
    Command.BODY: (Step.NO_BODY, Step.UNANSWERED_BODY),
}


class _Decided(Exception):
    """The filter has said what becomes of the whole; nothing more needs to be said to it."""

    def __init__(self, verdict: FilterVerdict) -> None:
        super().__init__(verdict.action)
        self.verdict = verdict


class MilterSession:
    """`daemon_name` is the value of that macro, `floor` the oldest version that will do."""

    def __init__(
        self, streams: Streams, request: FilterRequest, daemon_name: str, floor: int
    ) -> None:
        self._reader, self._writer = streams
        self._request = request
        self._daemon_name = daemon_name
        self._floor = floor
        self._agreed = OFFERED
        self._refused: dict[str, Reply] = {}

    async def run(self) -> FilterVerdict:
        await self._send(milter.options(OFFERED))
        self._agreed = milter.agree(await self._receive(), OFFERED, self._floor)
        try:
            verdict = await self._replay()
        except _Decided as decided:
            verdict = decided.verdict
        await self._send(milter.packet(Command.QUIT))
        return verdict

    # --- what the client has said ----------------------------------------------------------------

    async def _replay(self) -> FilterVerdict:
        request = self._request
        await self._say_connection()
        if request.reverse_path is None:
            return FilterVerdict()
        await self._say(Command.MAIL, milter.mail(request.reverse_path))
        for address in request.recipients:
            await self._say_rcpt(address)
        if request.stage is FilterStage.RECIPIENT:
            return self._word_on(request.recipients[-1])
        if request.content is None:
            return FilterVerdict()
        if set(request.recipients) == self._refused.keys():
            return self._word_on(request.recipients[0])
        return await self._say_content(request.content)

    async def _say_connection(self) -> None:
        request = self._request
        # Programs on this host are taken for clients from it; mail by UUCP has no address at all.
        here = "" if request.source is Source.UUCP else "127.0.0.1"
        await self._say(
            Command.CONNECT, milter.connect(client_name(request), request.client_ip or here)
        )
        if request.helo:
            await self._say(Command.HELO, milter.helo(request.helo))

    async def _say_rcpt(self, address: str) -> None:
        """A refusal here is for this recipient."""
        answer = await self._ask(Command.RCPT, milter.rcpt(address), address)
        if reply := _reply_of(answer):
            self._refused[address] = reply
        else:
            self._heed(answer)

    async def _say_content(self, content: bytes) -> FilterVerdict:
        message = EditedMessage(content, bool(self._agreed.steps & Step.LEADING_SPACE))
        if self._agreed.version >= _DATA_SINCE:
            await self._say(Command.DATA, milter.packet(Command.DATA))
        for name, value in message.shown_fields():
            await self._say(Command.HEADER, milter.header(name, value))
        await self._say(Command.END_OF_HEADERS, milter.packet(Command.END_OF_HEADERS))
        await self._say_body(message.body)
        return await self._end(message)

    async def _say_body(self, body: bytes) -> None:
        for start in range(0, len(body), milter.BODY_PIECE):
            piece = milter.packet(Command.BODY, body[start : start + milter.BODY_PIECE])
            answer = await self._ask(Command.BODY, piece)
            if answer is Verdict.SKIP:
                return
            self._heed(answer)

    async def _end(self, message: EditedMessage) -> FilterVerdict:
        """The end of the message is when the filter changes it, and then has its last word."""
        await self._send(self._macros(Command.END_OF_BODY))
        await self._send(milter.packet(Command.END_OF_BODY))
        reason: str | None = None
        while True:
            answer = await self._answer()
            if isinstance(answer, Quarantine):
                reason = answer.reason
            elif isinstance(answer, Verdict | Refusal):
                break
            else:
                message.apply(answer)
        if answer is not Verdict.ACCEPT:
            self._heed(answer)
        action = FilterAction.PASS if reason is None else FilterAction.HOLD
        return FilterVerdict(
            action, detail=reason or "", refused=self._refused, content=message.content()
        )

    # --- what the filter answers -----------------------------------------------------------------

    async def _say(self, command: Command, packet: bytes) -> None:
        """Something that the filter may take, or refuse together with all that follows."""
        self._heed(await self._ask(command, packet))

    async def _ask(self, command: Command, packet: bytes, address: str = "") -> Answer:
        """The answer; that of one who need not be asked, or told, is to go on."""
        left_out, unanswered = _STEPS_OF[command]
        await self._send(self._macros(command, address))
        if self._agreed.steps & left_out:
            return Verdict.CONTINUE
        await self._send(packet)
        if self._agreed.steps & unanswered:
            return Verdict.CONTINUE
        return await self._answer()

    def _heed(self, answer: Answer) -> None:
        """Raises _Decided unless the answer is to go on."""
        if answer is Verdict.CONTINUE:
            return
        if reply := _reply_of(answer):
            raise _Decided(FilterVerdict(FilterAction.REFUSE, reply))
        if answer is Verdict.ACCEPT:
            # Accepted by this filter; others may think differently.
            raise _Decided(FilterVerdict(refused=self._refused))
        if answer is Verdict.DISCARD:
            raise _Decided(FilterVerdict(FilterAction.DISCARD, refused=self._refused))
        raise ValueError(f"it answered {answer} at the wrong time")

    def _word_on(self, address: str) -> FilterVerdict:
        reply = self._refused.get(address)
        return FilterVerdict(FilterAction.REFUSE, reply) if reply else FilterVerdict()

    # --- packets ---------------------------------------------------------------------------------

    def _macros(self, command: Command, address: str = "") -> bytes:
        """What is to be sent before the command, if anything."""
        values = macros_for(command, self._request, self._daemon_name, address)
        return milter.macros(command, values) if values else b""

    async def _send(self, packet: bytes) -> None:
        self._writer.write(packet)
        await self._writer.drain()

    async def _answer(self) -> Answer:
        while (answer := milter.understand(await self._receive())) is Verdict.PROGRESS:
            pass
        return answer

    async def _receive(self) -> bytes:
        prefix = await self._reader.readexactly(milter.LENGTH_SIZE)
        return await self._reader.readexactly(milter.size_of(prefix))


def _reply_of(answer: Answer) -> Reply | None:
    match answer:
        case Verdict.REJECT:
            return _REJECT
        case Verdict.TEMPFAIL:
            return _TEMPFAIL
        case Verdict.SHUTDOWN:
            return _SHUTDOWN
        case Refusal(reply):
            if reply.code == _CLOSING:
                return Reply(451, reply.status, reply.text)
            return reply
    return None
