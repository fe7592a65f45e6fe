"""One ManageSieve session, command by command (RFC 5804 section 2)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from django.db import DatabaseError, InterfaceError

from mta.filters.sieve.vocabulary import capabilities
from mta.ingress.gate import reconnecting
from mta.ingress.house import House
from mta.ingress.inquiry import Examiner
from mta.mailbox_scripts import MAX_SCRIPT_OCTETS
from mta.managesieve import scripts
from mta.managesieve.connection import (
    IDLE_SECONDS,
    MAX_CONNECTIONS,
    MAX_OF_ONE_ADDRESS,
    STRANGER_SECONDS,
    Connection,
    End,
)
from mta.managesieve.sign_in import SignIn
from mta.protocol.managesieve import (
    MAX_LINE,
    Argument,
    BadCommand,
    Command,
    Hopeless,
    Reply,
    Word,
    read_command,
    string,
)

log = logging.getLogger(__name__)

MAX_ERRORS = 10
# A script, its name, and whatever else stands in literals.
ROOM = MAX_SCRIPT_OCTETS + MAX_LINE
VERSION = "1.0"
OK = Reply(Word.OK)
_TROUBLE = Reply(Word.NO, "temporary trouble here, try again later", "TRYLATER")


class Session(Connection):
    """`threads` are those in which scripts are read and changed."""

    def __init__(
        self, house: House, open_ones: set[Connection], threads: ThreadPoolExecutor
    ) -> None:
        super().__init__(house, open_ones)
        self._threads = threads
        self._errors = 0
        self.sign_in = SignIn(self, Examiner(house.inquiry))

    async def converse(self) -> None:
        self._admit()
        await self.say(await self.capabilities())
        while True:
            try:
                reply = await self._answer(await self._next())
            except Hopeless as error:
                raise End(Reply(Word.BYE, str(error), error.code)) from error
            except BadCommand as error:
                reply = self._wrong(Reply(Word.NO, str(error), error.code))
            except (DatabaseError, InterfaceError) as error:
                log.error("the database does not answer: %s", error)
                reply = _TROUBLE
            if reply is not None:
                await self.say(reply)

    def _admit(self) -> None:
        """Raises End for a connection too many."""
        facts = self.facts
        crowded = facts.same_address > MAX_OF_ONE_ADDRESS and not facts.is_loopback
        if crowded or facts.all_connections > MAX_CONNECTIONS or self.house.stopping:
            raise End(Reply(Word.BYE, "too many connections, try again later", "TRYLATER"))

    async def _next(self) -> Command:
        user = self.facts.auth_user
        seconds = IDLE_SECONDS if user else STRANGER_SECONDS
        return await self.read(read_command(ROOM if user else MAX_LINE), seconds)

    async def _answer(self, command: Command) -> Reply | None:
        """None when the command has answered by itself. Raises BadCommand."""
        verb = VERBS.get(command.verb)
        if verb is None:
            raise BadCommand("that command is not known")
        if verb.for_users and not self.facts.auth_user:
            raise BadCommand("sign in first")
        if not verb.takes(command.arguments):
            raise BadCommand(f"{command.verb} takes {verb.usage}")
        return await verb.action(self, *command.arguments)

    def _wrong(self, reply: Reply) -> Reply:
        """A wrong command was said; too many of them end the session. Raises End."""
        self._errors += 1
        if self._errors >= MAX_ERRORS:
            raise End(Reply(Word.BYE, "too many errors"))
        return reply

    async def on_scripts(self, action: Callable[..., Reply], *arguments: Argument) -> Reply:
        """What the user does with scripts. Raises DatabaseError, End."""
        work = partial(scripts.act, self.facts.auth_user, action, *arguments)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, reconnecting, work)
        except scripts.NoMailbox as error:
            raise End(Reply(Word.BYE, "your account is disabled")) from error

    async def capabilities(self) -> Reply:
        """RFC 5804 1.7; also the greeting."""
        lines = [
            ("IMPLEMENTATION", "CourierWeb"),
            ("SASL", " ".join(await self.sign_in.offered())),
            ("SIEVE", " ".join(capabilities())),
            ("VERSION", VERSION),
            ("UNAUTHENTICATE",),
        ]
        if self.may_start_tls:
            lines.append(("STARTTLS",))
        if "enotify" in capabilities():
            lines.append(("NOTIFY", "mailto"))
        if self.facts.auth_user:
            lines.append(("OWNER", self.facts.auth_user))
        data = b"".join(b" ".join(map(string, line)) + b"\r\n" for line in lines)
        return Reply(Word.OK, f"{self.house.hostname} ManageSieve", data=data)

    @property
    def may_start_tls(self) -> bool:
        return self.house.tls is not None and not self.facts.tls


async def _capability(session: Session) -> Reply:
    return await session.capabilities()


async def _authenticate(session: Session, mechanism: str, initial: str | None = None) -> Reply:
    return await session.sign_in.authenticate(mechanism, initial)


async def _starttls(session: Session) -> None:
    """The capabilities come once more, under TLS (RFC 5804 2.2)."""
    if session.house.tls is None or not session.may_start_tls:
        raise BadCommand("TLS is not available" if session.house.tls is None else "TLS is on")
    await session.say(OK)
    await session.start_tls(session.house.tls)
    await session.say(await session.capabilities())


async def _unauthenticate(session: Session) -> Reply:
    session.facts = replace(session.facts, auth_user="")
    return OK


async def _logout(session: Session) -> Reply:
    raise End(Reply(Word.OK, "bye"))


async def _noop(session: Session, tag: str | None = None) -> Reply:
    """RFC 5804 2.13."""
    if tag is None:
        return Reply(Word.OK, "done")
    return Reply(Word.OK, "done", f"TAG {string(tag).decode()}")


def _on_scripts(action: Callable[..., Reply]) -> "Callable[..., Awaitable[Reply]]":
    async def carry_out(session: Session, *arguments: Argument) -> Reply:
        return await session.on_scripts(action, *arguments)

    return carry_out


@dataclass(frozen=True, slots=True)
class _Verb:
    """`types` are those of its arguments, the last `optional` of which may be missing."""

    action: Callable[..., Awaitable[Reply | None]]
    usage: str = "no argument"
    types: tuple[type, ...] = ()
    optional: int = 0
    for_users: bool = False

    def takes(self, arguments: tuple[Argument, ...]) -> bool:
        count = len(arguments)
        return len(self.types) - self.optional <= count <= len(self.types) and all(
            map(isinstance, arguments, self.types)
        )


def _for_users(action: Callable[..., Reply], usage: str, *types: type) -> _Verb:
    return _Verb(_on_scripts(action), usage, types, for_users=True)


VERBS = {
    "CAPABILITY": _Verb(_capability),
    "AUTHENTICATE": _Verb(_authenticate, "a mechanism and perhaps a response", (str, str), 1),
    "STARTTLS": _Verb(_starttls),
    "LOGOUT": _Verb(_logout),
    "NOOP": _Verb(_noop, "at most one string", (str,), 1),
    "UNAUTHENTICATE": _Verb(_unauthenticate, for_users=True),
    "HAVESPACE": _for_users(scripts.have_space, "a name and a size", str, int),
    "PUTSCRIPT": _for_users(scripts.put, "a name and a script", str, str),
    "CHECKSCRIPT": _for_users(scripts.check, "a script", str),
    "LISTSCRIPTS": _for_users(scripts.listing, "no argument"),
    "SETACTIVE": _for_users(scripts.set_active, "a name, or an empty string", str),
    "GETSCRIPT": _for_users(scripts.get, "a name", str),
    "DELETESCRIPT": _for_users(scripts.delete, "a name", str),
    "RENAMESCRIPT": _for_users(scripts.rename, "the old name and the new one", str, str),
}
