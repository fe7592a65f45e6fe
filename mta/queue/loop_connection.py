"""A database connection that belongs to an event loop: one prepared statement at a time.

For the two statements that every message in the ingress waits for. Handing them to a thread
costs nine times as much processor time as speaking to libpq from the loop, because of the
hand-overs of the interpreter lock; everything else goes through Django in threads.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import psycopg
from django.db import DatabaseError, OperationalError, connection
from psycopg import pq
from psycopg.errors import error_from_result

# A database that says nothing for so long is away.
ANSWER_SECONDS = 30.0

Value = str | bytes | int | float
Row = tuple[bytes | None, ...]

# What the database says when it cannot store: the disk is full, it is read-only (SQLSTATE).
NO_STORAGE = frozenset({"53100", "25006"})

_Failure = TypeVar("_Failure", bound=DatabaseError)
_PLACEHOLDER = re.compile(r"%\((\w+)\)s")


class Statement:
    """A constant statement with `%(name)s` placeholders whose types it states itself."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name.encode()
        names = dict.fromkeys(_PLACEHOLDER.findall(text))
        numbers = {each: number for number, each in enumerate(names, 1)}
        self.names = tuple(names)
        self.text = _PLACEHOLDER.sub(lambda match: f"${numbers[match[1]]}", text).encode()


def connect() -> psycopg.Connection[Any]:
    """A connection with the settings of Django's own. Blocks. Raises psycopg.Error."""
    return psycopg.connect(**connection.get_connection_params(), autocommit=True)


class LoopConnection:
    """Connects on first use and again after trouble. Calls must not overlap."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]] = connect) -> None:
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None
        # Kept here, because a connection that is lost does not tell its descriptor any more.
        self._descriptor = -1
        self._prepared: set[bytes] = set()
        self._answer: asyncio.Future[list[Row]] | None = None
        self._writing = False

    async def execute(self, statement: Statement, values: Mapping[str, Value]) -> list[Row]:
        """The rows, each value as PostgreSQL's text. Every call is a transaction of its own.

        Raises OperationalError when the database is away (then it is not known whether the
        statement was carried out), else DatabaseError.
        """
        if self._connection is None:
            await self._open()
        if statement.name not in self._prepared:
            await self._run(lambda wire: wire.send_prepare(statement.name, statement.text))
            self._prepared.add(statement.name)
        given = [values[name] for name in statement.names]
        return await self._run(
            lambda wire: wire.send_query_prepared(
                statement.name,
                [_octets(value) for value in given],
                [int(isinstance(value, bytes)) for value in given],
            )
        )

    def close(self) -> None:
        """Give the connection up; the next statement makes a new one."""
        opened, self._connection = self._connection, None
        self._prepared.clear()
        if opened is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._descriptor)
            loop.remove_writer(self._descriptor)
            self._writing = False
            opened.close()

    async def _open(self) -> None:
        try:
            self._connection = await asyncio.to_thread(self._connect)
        except psycopg.Error as error:
            raise OperationalError(str(error)) from error
        self._connection.pgconn.nonblocking = 1
        self._descriptor = self._connection.fileno()
        asyncio.get_running_loop().add_reader(self._descriptor, self._readable)

    async def _run(self, send: Callable[[Any], None]) -> list[Row]:
        assert self._connection is not None and self._answer is None
        loop = asyncio.get_running_loop()
        self._answer = loop.create_future()
        timer = loop.call_later(ANSWER_SECONDS, self._fail, OperationalError("no answer in time"))
        try:
            send(self._connection.pgconn)
            self._writable()
            return await self._answer
        except psycopg.Error as error:
            self.close()
            raise OperationalError(str(error)) from error
        finally:
            timer.cancel()
            self._answer = None

    def _writable(self) -> None:
        """Send what libpq has not sent yet, now and whenever the socket takes more."""
        assert self._connection is not None
        left = self._connection.pgconn.flush()
        if left and not self._writing:
            asyncio.get_running_loop().add_writer(self._descriptor, self._on_writable)
        elif self._writing and not left:
            asyncio.get_running_loop().remove_writer(self._descriptor)
        self._writing = bool(left)

    def _on_writable(self) -> None:
        try:
            self._writable()
        except psycopg.Error as error:
            self._fail(OperationalError(str(error)))

    def _readable(self) -> None:
        assert self._connection is not None
        wire = self._connection.pgconn
        try:
            wire.consume_input()
            if wire.is_busy():
                return None
            results = []
            while (result := wire.get_result()) is not None:
                results.append(result)
        except psycopg.Error as error:
            return self._fail(OperationalError(str(error)))
        if self._answer is None or self._answer.done() or not results:
            # The server speaks unasked only to say goodbye.
            return self.close() if wire.status != pq.ConnStatus.OK else None
        return self._settle(self._answer, results[-1])

    def _settle(self, answer: "asyncio.Future[list[Row]]", result: Any) -> None:
        if result.status in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
            return answer.set_result(_rows(result))
        error = error_from_result(result)
        # What libpq itself reports, a connection that broke, has no SQLSTATE.
        if isinstance(error, psycopg.OperationalError) or error.diag.sqlstate is None:
            return self._fail(_caused_by(OperationalError(str(error)), error))
        return answer.set_exception(_caused_by(DatabaseError(str(error)), error))

    def _fail(self, error: OperationalError) -> None:
        self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


def _caused_by(failure: _Failure, error: psycopg.Error) -> _Failure:
    """As Django does it: the code of the database can be told from the cause."""
    failure.__cause__ = error
    return failure


def _rows(result: Any) -> list[Row]:
    columns = range(result.nfields)
    return [
        tuple(result.get_value(row, column) for column in columns) for row in range(result.ntuples)
    ]


def _octets(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    return str(value).encode()
