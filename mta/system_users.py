"""The system's users, by the name service.

`pwd.getpwnam` says of a name service that does not answer that there is no such user. Mail would be
refused for good by that, so the C library's own function is asked, whose error numbers differ.
"""

import ctypes
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PASSWD = Path("/etc/passwd")
_FIELDS = 7
# Whoever has a longer entry than this cannot be found.
_MAX_ENTRY = 1 << 20
# What getpwnam(3) names as other ways to say that there is no such user.
_NOT_FOUND = {0, errno.ENOENT, errno.ESRCH, errno.EBADF, errno.EPERM}


class _Entry(ctypes.Structure):
    """`struct passwd` as glibc and musl have it."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("password", ctypes.c_char_p),
        ("uid", ctypes.c_uint32),
        ("gid", ctypes.c_uint32),
        ("gecos", ctypes.c_char_p),
        ("home", ctypes.c_char_p),
        ("shell", ctypes.c_char_p),
    )


_getpwnam_r = ctypes.CDLL(None).getpwnam_r
_getpwnam_r.argtypes = (
    ctypes.c_char_p,
    ctypes.POINTER(_Entry),
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.POINTER(ctypes.POINTER(_Entry)),
)
_getpwnam_r.restype = ctypes.c_int


@dataclass(frozen=True, slots=True)
class SystemUser:
    name: str
    uid: int
    home: str


def find_user(name: str) -> SystemUser | None:
    """The user of that name, None for nobody. Raises OSError when the name service cannot say."""
    size = 1 << 12
    while size <= _MAX_ENTRY:
        try:
            return _find_user(os.fsencode(name), size)
        except OSError as error:
            if error.errno != errno.ERANGE:
                raise
        size *= 4
    raise OSError(errno.ERANGE, os.strerror(errno.ERANGE))


def local_users() -> Iterator[SystemUser]:
    """Those of /etc/passwd. A directory service may know more, and may know very many."""
    for line in _PASSWD.read_text("utf-8", "surrogateescape").splitlines():
        fields = line.split(":")
        if len(fields) == _FIELDS and fields[2].isdecimal():
            yield SystemUser(fields[0], int(fields[2]), fields[5])


def _find_user(name: bytes, size: int) -> SystemUser | None:
    entry, found = _Entry(), ctypes.POINTER(_Entry)()
    texts = ctypes.create_string_buffer(size)
    error = _getpwnam_r(name, ctypes.byref(entry), texts, size, ctypes.byref(found))
    if found:
        return SystemUser(os.fsdecode(entry.name), entry.uid, os.fsdecode(entry.home))
    if error in _NOT_FOUND:
        return None
    raise OSError(error, os.strerror(error))
