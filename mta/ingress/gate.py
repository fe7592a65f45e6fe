"""The policy in force, asked once per MAIL transaction, by all sessions together.

A session that asks while a question to the database is on its way waits for the *next* one: an
answer begun before the MAIL came could miss a change that was committed before it. Under load
many MAILs thus share one question.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from mta.policy.facts import Policy, Resolution, UserFacts
from mta.protocol.scram import StoredKeys

_Result = TypeVar("_Result")


class Directory(Protocol):
    """What the ingress asks; `mta.directory` answers from the database, blocking."""

    @property
    def policy(self) -> Policy: ...

    def refresh(self) -> Policy: ...

    def known_resolution(self, address: str) -> Resolution | None: ...

    def resolve(self, address: str) -> Resolution: ...

    def authenticate(self, user: str, password: str) -> bool: ...

    def scram_keys(self, user: str) -> StoredKeys: ...

    def user(self, user: str) -> UserFacts: ...


class PolicyGate:
    """Asks the directory from the event loop, through one thread with one connection. Only the
    version, which every MAIL asks for, comes without a thread."""

    def __init__(self, directory: Directory, version: Callable[[], Awaitable[int]]) -> None:
        """`version` tells the version of the policy in force, without a thread."""
        self._directory = directory
        self._version = version
        self._thread = ThreadPoolExecutor(1, "directory")
        self._passwords = ThreadPoolExecutor(2, "passwords")
        self._running = False
        self._next: asyncio.Future[Policy] | None = None

    @property
    def policy(self) -> Policy:
        """The policy last seen, for what comes before MAIL."""
        return self._directory.policy

    async def current(self) -> Policy:
        """The policy in force at a moment after this call. Raises DatabaseError."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
            # Whoever waited may be gone when an error comes; it is not worth a warning.
            self._next.add_done_callback(lambda done: done.cancelled() or done.exception())
        waiting = self._next
        if not self._running:
            self._ask()
        return await asyncio.shield(waiting)

    async def resolutions(self, addresses: Sequence[str]) -> list[Resolution]:
        """Each address after alias expansion. Raises DatabaseError."""
        known = [self._directory.known_resolution(address) for address in addresses]
        found = [resolution for resolution in known if resolution is not None]
        if len(found) == len(addresses):
            return found
        return await self._call(
            self._thread, lambda: [self._directory.resolve(address) for address in addresses]
        )

    async def user(self, user: str) -> UserFacts:
        """The authenticated user as of now. Raises DatabaseError."""
        return await self._call(self._thread, lambda: self._directory.user(user))

    async def authenticate(self, user: str, password: str) -> bool:
        """Whether the password is right. Slow on purpose, so it has threads of its own."""
        return await self._call(
            self._passwords, lambda: self._directory.authenticate(user, password)
        )

    async def scram_keys(self, user: str) -> StoredKeys:
        """The user's keys, or some that no proof fits. Raises DatabaseError."""
        return await self._call(self._thread, lambda: self._directory.scram_keys(user))

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._passwords.shutdown(wait=False, cancel_futures=True)

    def _ask(self) -> None:
        answer, self._next = self._next, None
        assert answer is not None
        self._running = True
        self._task = asyncio.get_running_loop().create_task(self._answer(answer))

    async def _answer(self, answer: "asyncio.Future[Policy]") -> None:
        try:
            answer.set_result(await self._in_force())
        except (DatabaseError, InterfaceError) as error:
            answer.set_exception(error)
        finally:
            self._running = False
            if self._next is not None:
                self._ask()

    async def _in_force(self) -> Policy:
        """Read anew, in the thread, only when the version is another one."""
        try:
            version = await self._version()
        except OperationalError:
            # The connection may have broken since the last question.
            version = await self._version()
        if version == self._directory.policy.version:
            return self._directory.policy
        return await self._call(self._thread, self._directory.refresh)

    async def _call(self, thread: ThreadPoolExecutor, question: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(thread, reconnecting, question)


def reconnecting(question: Callable[[], _Result]) -> _Result:
    """Ask the database; a connection that broke since the last question is made anew once."""
    try:
        return question()
    except (OperationalError, InterfaceError):
        connection.close()
        return question()
    finally:
        if connection.errors_occurred:
            connection.close()
