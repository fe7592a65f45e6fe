"""The database connection of the event loop: errors, large values, connections that break."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from django.db import DatabaseError, OperationalError, connection

from mta.queue.loop_connection import LoopConnection, Statement
from tests.support.smtp_session import disconnect_others

pytestmark = pytest.mark.django_db(transaction=True)

ECHO = Statement("echo", "SELECT %(text)s::text, length(%(octets)s::bytea), %(number)s::int8")
DIVIDE = Statement("divide", "SELECT 1 / %(number)s::int8")
SLEEP = Statement("sleep", "SELECT pg_sleep(%(seconds)s::float8)")


def run(act: Callable[[LoopConnection], Awaitable[None]]) -> None:
    async def main() -> None:
        database = LoopConnection()
        try:
            await asyncio.wait_for(act(database), 60)
        finally:
            database.close()

    asyncio.run(main())


def test_values_go_and_come():
    async def act(database: LoopConnection) -> None:
        values = {"text": "é'\\", "octets": b"\0\xff", "number": -7}
        assert await database.execute(ECHO, values) == [("é'\\".encode(), b"2", b"-7")]

    run(act)


def test_more_than_the_socket_takes_at_once():
    octets = b"x" * 40_000_000

    async def act(database: LoopConnection) -> None:
        values = {"text": "", "octets": octets, "number": 0}
        assert (await database.execute(ECHO, values))[0][1] == b"40000000"

    run(act)


def test_a_statement_that_fails_leaves_the_connection_usable():
    async def act(database: LoopConnection) -> None:
        with pytest.raises(DatabaseError, match="division by zero") as error:
            await database.execute(DIVIDE, {"number": 0})
        assert not isinstance(error.value, OperationalError)
        assert await database.execute(DIVIDE, {"number": 1}) == [(b"1",)]

    run(act)


def test_a_connection_that_breaks_under_a_statement_is_trouble_and_made_anew():
    async def act(database: LoopConnection) -> None:
        await database.execute(DIVIDE, {"number": 1})
        asleep = asyncio.create_task(database.execute(SLEEP, {"seconds": 50}))
        await asyncio.sleep(0)
        await asyncio.to_thread(disconnect_all)
        with pytest.raises(OperationalError):
            await asleep
        assert await database.execute(DIVIDE, {"number": 1}) == [(b"1",)]

    run(act)


def disconnect_all() -> None:
    """Whichever thread of the pool runs this: none is left with a connection that another ended."""
    disconnect_others()
    connection.close()


def test_a_connection_that_broke_while_idle_costs_one_statement_at_most():
    async def act(database: LoopConnection) -> None:
        for _ in range(20):
            await database.execute(DIVIDE, {"number": 1})
            await asyncio.to_thread(disconnect_all)
            try:
                rows = await database.execute(DIVIDE, {"number": 1})
            except OperationalError:
                rows = await database.execute(DIVIDE, {"number": 1})
            assert rows == [(b"1",)]

    run(act)
