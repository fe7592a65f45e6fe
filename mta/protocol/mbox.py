"""The mbox form of a message, for step 6 (spec 3.8): a From_ line, and "From " lines quoted."""

import re
import time

_FROM = re.compile(rb"^(>*From )", re.M)
_BLANK = re.compile(r"\s")


def from_line(reverse_path: str, at: float) -> str:
    """The line that begins a message, without its end; `at` is in seconds since the epoch.

    Readers take the first word for the sender, so that a sender is made one word.
    """
    sender = _BLANK.sub("_", reverse_path) or "MAILER-DAEMON"
    return f"From {sender} {time.asctime(time.gmtime(at))}"


def quoted(text: bytes) -> bytes:
    """The message with one more ">" before each line that looks like a From_ line, and a line end
    at its end; `text` has LF line ends."""
    ended = text if text.endswith(b"\n") else text + b"\n"
    return _FROM.sub(rb">\1", ended)
