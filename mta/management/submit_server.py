"""The socket at which every user of this host may leave mail (`deploy/sendmail`).

The kernel says who is there (SO_PEERCRED), so nobody needs a password, nothing of the home has to
be readable, and the account in the envelope is the real one. One connection is one message:

    client  one line of JSON: {"program": "sendmail" or "rmail", "arguments": [...],
            "variables": {"MAILUSER": ...}}
            the message in pieces, each behind its length in four octets; a length of 0 ends it
    server  one line of JSON: {"code": 0, "printed": "", "complaint": ""}
"""

import json
import logging
import pwd
import socket
import socketserver
import struct
import threading
from collections import Counter
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from django.db import close_old_connections, connections

from mta.management.local_mail import EX_TEMPFAIL, EX_USAGE, Caller, Result, full_name_of, take
from mta.management.uucp_mail import take_rmail

log = logging.getLogger(__name__)

MAX_HEAD = 256 * 1024
MAX_OF_ONE_USER = 8
MAX_OF_ALL = 32
# A program that neither writes nor ends is let go after this.
IDLE_SECONDS = 300.0
VARIABLES = (
    *("MAILUSER", "MAILSUSER", "MAILHOST", "MAILSHOST", "MAILNAME", "NAME"),
    *("UU_MACHINE", "UU_USER"),
)
_PROGRAMS = {"sendmail": take, "rmail": take_rmail}
_CREDENTIALS = struct.Struct("3i")
_LENGTH = struct.Struct("!I")


class BadHead(ValueError):
    """The first line is not what a client says."""


class CutOff(Exception):
    """The client went away within its message."""


class SubmitServer(socketserver.ThreadingUnixStreamServer):
    """Listens until `shutdown`; a socket that a killed server has left is replaced."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self.callers: Counter[int] = Counter()
        self.lock = threading.Lock()
        super().__init__(str(path), _Handler)
        path.chmod(0o666)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or a mistake of ours: the client reads no success either way."""
        log.exception("a local submission failed")


class _Handler(socketserver.StreamRequestHandler):
    timeout = IDLE_SECONDS
    server: SubmitServer

    def handle(self) -> None:
        uid = _peer_uid(self.connection)
        if not self._enter(uid):
            self._answer(Result(EX_TEMPFAIL, complaint="too many messages at the same time"))
            return
        try:
            self._answer(self._take(uid))
        finally:
            self._leave(uid)

    def _take(self, uid: int) -> Result:
        try:
            program, arguments, variables = _head(self.rfile.readline(MAX_HEAD))
        except BadHead as error:
            return Result(EX_USAGE, complaint=str(error))
        close_old_connections()
        try:
            account = _account(uid)
            caller = Caller(account, full_name_of(uid), variables, uid)
            result = _PROGRAMS[program](arguments, caller, _Pieces(self.rfile))
        except CutOff:
            result = Result(EX_TEMPFAIL, complaint="the message was cut off")
        finally:
            connections.close_all()
        log.info("user %s (%d): status %d %s", account, uid, result.code, result.complaint)
        return result

    def _answer(self, result: Result) -> None:
        answer = {
            "code": result.code,
            "printed": result.printed,
            "complaint": result.complaint,
        }
        self.wfile.write(json.dumps(answer).encode() + b"\n")

    def _enter(self, uid: int) -> bool:
        """One user's programs must not take the places of all."""
        with self.server.lock:
            callers = self.server.callers
            if callers[uid] >= MAX_OF_ONE_USER or callers.total() >= MAX_OF_ALL:
                return False
            callers[uid] += 1
            return True

    def _leave(self, uid: int) -> None:
        with self.server.lock:
            self.server.callers[uid] -= 1


class _Pieces:
    """The message. Its end must be told: a client that dies has not sent a shorter one."""

    def __init__(self, stream: BufferedIOBase) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        """At most so many octets of the whole message. Raises CutOff, OSError."""
        pieces = bytearray()
        while len(pieces) < size:
            length = _LENGTH.unpack(self._exactly(_LENGTH.size))[0]
            if not length:
                break
            pieces += self._exactly(min(length, size - len(pieces)))
        return bytes(pieces)

    def _exactly(self, count: int) -> bytes:
        octets = self._stream.read(count)
        if len(octets) < count:
            raise CutOff
        return octets


def _peer_uid(connection: socket.socket) -> int:
    octets = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(octets)[1]
    return uid


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid{uid}"


def _head(line: bytes) -> tuple[str, list[str], dict[str, str]]:
    """Program, arguments and variables. Raises BadHead."""
    try:
        head = json.loads(line)
        program = head.get("program", "sendmail")
        arguments = [str(each) for each in head["arguments"]]
        variables = {name: str(head["variables"].get(name, "")) for name in VARIABLES}
        for each in (*arguments, *variables.values()):
            each.encode()
        if program not in _PROGRAMS:
            raise ValueError(program)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadHead("the options cannot be read: they must be UTF-8 text") from error
    return program, arguments, variables
