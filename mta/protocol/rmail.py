"""The From lines in front of a message that `rmail` reads (RFC 976 2.4). Pure.

From user Sun Mar  1 12:00:00 2026 remote from fruits
>From food!user ...
"""

import re

_LINE = re.compile(rb">?From ([!-~]+)[ \t]?([^\n]{0,1000})\n")
_REMOTE = re.compile(rb"\bremote from ([!-~]+)[ \t\r]*\Z")
_MAX_LINES = 20


def take_from_lines(content: bytes) -> tuple[str, bytes]:
    """(the path of the sender that they tell, the message behind them).

    The first line is of the host that had the message last. The path is "" without such lines.
    """
    hosts: list[str] = []
    user = ""
    position = 0
    for _ in range(_MAX_LINES):
        match = _LINE.match(content, position)
        if match is None:
            break
        position = match.end()
        user = match[1].decode("ascii")
        remote = _REMOTE.search(match[2])
        if remote:
            hosts.append(remote[1].decode("ascii"))
    return "!".join([*hosts, user]) if user else "", content[position:]
