"""The form of the page "Explain": it lives in the URL, so that a question can be shared.

Other pages ask by `explain_url`: what happened there, filled in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse

from mta.explanation import LISTENERS, Request
from mta.protocol.queue_id import decode_queue_id
from mta.queue import history

MAX_LENGTH = 1000
MAX_RECIPIENTS = 100
LINKED_RECIPIENTS = 20
MOST_CONTENT = 64 * 1024 * 1024
NULL_SENDER = "<>"


@dataclass(frozen=True, slots=True)
class ExplainForm:
    """What a person asked for: the words as typed, the request they make, what is wrong.

    `request` is None while there is nothing to explain.
    """

    words: dict[str, str]
    request: Request | None
    errors: tuple[str, ...] = ()

    @property
    def query(self) -> str:
        """All but the message text as a query string."""
        words = {name: word for name, word in self.words.items() if word and name != "message"}
        recipients = words.pop("to", "").split("\n")
        pairs = [*words.items(), *(("to", each) for each in recipients if each)]
        return urlencode(pairs)


def read_form(data: QueryDict) -> ExplainForm:
    """Reads a query or a posted form."""
    words = {
        name: _word(data.get(name, ""))
        for name in ("client", "helo", "listener", "auth", "from", "queue_id")
    }
    recipients = [_word(each) for text in data.getlist("to") for each in text.splitlines()]
    recipients = [each for each in recipients if each]
    words["to"] = "\n".join(recipients)
    words["tls"] = "1" if data.get("tls") else ""
    words["message"] = data.get("message", "")
    if not words["client"]:
        return ExplainForm(words, None)
    errors = []
    if words["listener"] not in LISTENERS:
        words["listener"] = LISTENERS[0]
    if len(recipients) > MAX_RECIPIENTS:
        errors.append(f"At most {MAX_RECIPIENTS} recipients are explained at once.")
    if recipients and not words["from"]:
        errors.append(f"Recipients need a sender; {NULL_SENDER} is the null sender.")
    content = None
    try:
        content = _content(words)
    except ValueError as error:
        errors.append(str(error))
    if errors:
        return ExplainForm(words, None, tuple(errors))
    request = Request(
        client_ip=words["client"],
        reverse_path=words["from"] or None,
        recipients=tuple(recipients),
        helo=words["helo"],
        listener=words["listener"],
        tls=bool(words["tls"]),
        auth_user=words["auth"],
        content=content,
    )
    return ExplainForm(words, request)


def explain_url(
    session: Mapping[str, Any],
    reverse_path: str | None,
    recipients: Iterable[str] = (),
    queue_id: str = "",
) -> str:
    """The page filled in with what was known of a session; "" when it was none.

    `session` is as the history keeps it; `reverse_path` is None before MAIL.
    """
    if not session.get("client_ip"):
        return ""
    pairs = [
        ("client", session["client_ip"]),
        ("helo", session.get("helo")),
        ("listener", session.get("listener")),
        ("tls", "1" if session.get("tls") else ""),
        ("auth", session.get("auth_user")),
        ("from", None if reverse_path is None else reverse_path or NULL_SENDER),
        *(("to", recipient) for recipient in list(recipients)[:LINKED_RECIPIENTS]),
        ("queue_id", queue_id),
    ]
    return f"{reverse('console:explain')}?{urlencode([pair for pair in pairs if pair[1]])}"


def _word(text: str) -> str:
    return text.replace("\0", "").strip()[:MAX_LENGTH]


def _content(words: dict[str, str]) -> bytes | None:
    """The message that was typed, or the one that is kept. Raises ValueError."""
    if words["message"]:
        return words["message"].replace("\r\n", "\n").encode("utf-8", "replace")
    if not words["queue_id"]:
        return None
    content = history.content_head(decode_queue_id(words["queue_id"]), MOST_CONTENT)
    if not content:
        raise ValueError(f"The content of {words['queue_id']} is not stored (any more).")
    return _as_it_came(content)


def _as_it_came(content: bytes) -> bytes:
    """Without our own Received field, which stands on top of what is stored."""
    if not content.lower().startswith(b"received:"):
        return content
    end = content.find(b"\r\n")
    while end >= 0 and content[end + 2 : end + 3] in (b" ", b"\t"):
        end = content.find(b"\r\n", end + 2)
    return content[end + 2 :] if end >= 0 else content
