"""Step 6, http: what an answer means for each recipient of a request; pure.

2xx is success. 408, 425, 429 and 5xx are for now; so are 3xx and those of 4xx that tell of a wrong
URL or a wrong secret and not of the mail: a slip of the administrator's must not send all mail
back. The other 4xx are for good. With 2xx a JSON object may say otherwise for single recipients:

    {"recipients": {"ann@example.com": {"result": "bounced", "text": "no such customer"}}}

where `result` is "sent", "deferred" or "bounced", `text` and `status` ("5.1.1") may be left out.
An answer that means to say something and cannot be understood is no success.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mta.protocol import address, status
from mta.protocol.reply import Reply
from mta.transports.base import Outcome, QueuedRecipient, Result
from mta.transports.http_connection import Answer

COMMAND = "POST"
_JSON = "application/json"
_MAX_TEXT = 500
_FOR_NOW = frozenset({401, 403, 404, 405, 407, 408, 411, 415, 425, 429, 431})
_ASKS_FOR_FEWER = frozenset({429, 503})
_TOO_LARGE = 413
_CODES = {Result.SENT: 250, Result.DEFERRED: 451, Result.BOUNCED: 550}
_STATUSES = {
    Result.SENT: status.SUCCESS,
    Result.DEFERRED: status.LOCAL_ERROR,
    Result.BOUNCED: status.UNDEFINED_PERMANENT,
}
_CLASSES = {Result.SENT: "2", Result.DEFERRED: "4", Result.BOUNCED: "5"}
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\Z")
_KEYS = {"result", "text", "status"}


class Unintelligible(ValueError):
    """The answer's JSON is not what it should be; the message says how."""


def outcomes(answer: Answer, recipients: Sequence[QueuedRecipient]) -> Iterator[Outcome]:
    """One for each recipient."""
    result, reply = verdict(answer)
    single: Mapping[str, tuple[Result, Reply]] = {}
    if result is Result.SENT:
        try:
            single = _single_verdicts(answer, recipients)
        except Unintelligible as error:
            text = f"the webhook answered {answer.status}, but not so that it is clear: {error}"
            result, reply = Result.DEFERRED, Reply(451, status.LOCAL_ERROR, text)
    for recipient in recipients:
        each, said = single.get(address.wire(recipient.address), (result, reply))
        yield Outcome(recipient.id, each, said, command=COMMAND)


def verdict(answer: Answer) -> tuple[Result, Reply]:
    """What the status of the answer says for all recipients."""
    text = _sentence(answer)
    code = answer.status
    if 200 <= code < 300:
        return Result.SENT, Reply(250, status.SUCCESS, text)
    if code == _TOO_LARGE:
        return Result.BOUNCED, Reply(552, status.TOO_BIG, text)
    if code in _ASKS_FOR_FEWER:
        return Result.DEFERRED, Reply(451, status.SYSTEM_NOT_ACCEPTING, text)
    if 400 <= code < 500 and code not in _FOR_NOW:
        return Result.BOUNCED, Reply(550, status.UNDEFINED_PERMANENT, text)
    if code < 500:
        return Result.DEFERRED, Reply(451, "4.3.5", text)
    return Result.DEFERRED, Reply(451, status.LOCAL_ERROR, text)


def _sentence(answer: Answer) -> str:
    parts = [f"the webhook answered {answer.status} {answer.reason}".rstrip()]
    if 300 <= answer.status < 400:
        place = f" to {answer.location}" if answer.location else ""
        parts.append(f"a redirect{place} is not followed, its address must be mended")
    if answer.retry_after and answer.status >= 400:
        parts.append(f"Retry-After: {answer.retry_after}")
    said = _first_words(answer)
    if said:
        parts.append(said)
    return _line("; ".join(parts))


def _first_words(answer: Answer) -> str:
    """Of a plain text that explains a refusal."""
    if answer.status < 400 or answer.kind != "text/plain":
        return ""
    return answer.body.decode("utf-8", "replace")


def _single_verdicts(
    answer: Answer, recipients: Sequence[QueuedRecipient]
) -> dict[str, tuple[Result, Reply]]:
    """Of those recipients that the body names. Raises Unintelligible."""
    if answer.kind != _JSON or not answer.body:
        return {}
    if answer.cut:
        raise Unintelligible("its JSON is too long")
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise Unintelligible("its body is not JSON") from error
    if not isinstance(said, dict):
        raise Unintelligible("its body is not a JSON object")
    listed = said.get("recipients", {})
    if not isinstance(listed, dict):
        raise Unintelligible('"recipients" is not an object')
    asked = {address.wire(recipient.address) for recipient in recipients}
    unasked = listed.keys() - asked
    if unasked:
        raise Unintelligible(f"nothing was posted for {_line(min(unasked))!r}")
    return {name: _single_verdict(name, each) for name, each in listed.items()}


def _single_verdict(name: str, said: Any) -> tuple[Result, Reply]:
    if not isinstance(said, dict) or not said.keys() <= _KEYS or "result" not in said:
        raise Unintelligible(f"what it says of {name} is not an object of {sorted(_KEYS)}")
    if not all(isinstance(value, str) for value in said.values()):
        raise Unintelligible(f"what it says of {name} is not text")
    try:
        result = Result(said["result"])
    except ValueError as error:
        raise Unintelligible(f"the result of {name} is none of {', '.join(Result)}") from error
    code = said.get("status") or _STATUSES[result]
    if not _STATUS.match(code) or code[0] != _CLASSES[result]:
        raise Unintelligible(f"the status of {name} is not one of class {_CLASSES[result]}")
    text = _line(said.get("text", "")) or f"the webhook says {result}"
    return result, Reply(_CODES[result], code, text)


def _line(text: str) -> str:
    """One line of bounded length, without what would do something to a terminal."""
    flat = " ".join(text.split())[:_MAX_TEXT]
    return "".join(char if char.isprintable() else "?" for char in flat)
