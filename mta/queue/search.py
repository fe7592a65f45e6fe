"""Finding mail, accepted or refused, by what a person has in hand.

A query is words; a word is `prefix:value` (from:, to:, ip:, status:, rule:, qid:, msgid:) or
bare, and then its looks decide: a queue id, a Message-ID, an IP address, else an address. All
words must hold. A value matches whole, or by its beginning when it ends in `*`.
"""

import ipaddress
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mta.models.message import State
from mta.protocol import address
from mta.protocol.queue_id import decode_queue_id, encode_queue_id
from mta.queue.listing import fetch, like_literal

MAX_WORDS = 10

_WORD = re.compile(r'(?:([a-z]+):)?("[^"]*"|\S+)', re.IGNORECASE)
# What a row of the refusals is called, and whether it was enforced.
_KINDS = {"refused": True, "logged": False}
_PREFIXES = ("from", "to", "ip", "status", "rule", "qid", "msgid")


@dataclass(frozen=True, slots=True)
class Hit:
    """A message that was accepted (`message_id` is set) or a refusal (`refusal_id` is set).

    `recipient` is one recipient, that which matched if one did; `status` is the state of that
    recipient, or "refused".
    """

    at: datetime
    message_id: int | None
    refusal_id: int | None
    reverse_path: str
    recipient: str
    client_ip: str
    status: str
    text: str

    @property
    def queue_id(self) -> str:
        return "" if self.message_id is None else encode_queue_id(self.message_id)


@dataclass(frozen=True, slots=True)
class Term:
    """One condition of a search: a prefix and what it must match."""

    prefix: str
    value: str


def parse_query(query: str) -> list[Term]:
    """The terms of a query, each with a prefix of `_PREFIXES`, or "address" on either side."""
    terms = []
    for prefix, raw in _WORD.findall(query.replace("\x00", ""))[:MAX_WORDS]:
        value = raw.strip('"').strip()
        if prefix.lower() in _PREFIXES:
            term = Term(prefix.lower(), value)
        else:
            # A colon that begins no known prefix belongs to the word (an IPv6 address).
            term = _guess(f"{prefix}:{value}" if prefix else value)
        if term.value:
            terms.append(term)
    return terms


def search(query: str, limit: int = 50) -> list[Hit]:
    """Messages and refusals that match, newest first; an empty query finds nothing."""
    terms = parse_query(query)
    if not terms:
        return []
    hits = _messages(terms, limit) + _refusals(terms, limit)
    return sorted(hits, key=lambda hit: hit.at, reverse=True)[:limit]


def _guess(word: str) -> Term:
    try:
        decode_queue_id(word)
    except ValueError:
        pass
    else:
        return Term("qid", word)
    try:
        return Term("ip", str(ipaddress.ip_address(word.strip("[]"))))
    except ValueError:
        pass
    if word.startswith("<") and word.endswith(">") and "@" in word:
        return Term("msgid", word)
    return Term("address", _address(word))


def _address(value: str) -> str:
    """The address as it is stored: the domain in lower case and in ASCII."""
    try:
        return address.parse(value)
    except address.AddressError:
        return value


class _Conditions:
    """SQL conditions with their parameters, gathered one by one."""

    def __init__(self) -> None:
        self.sql: list[str] = []
        self.values: list[Any] = []

    def add(self, sql: str, *values: Any) -> None:
        self.sql.append(sql)
        self.values.extend(values)

    def match(self, column: str, value: str) -> None:
        """Equality, which every index serves, or a prefix when the value ends in `*`."""
        condition, parameter = _match(column, value)
        self.add(condition, parameter)

    @property
    def where(self) -> str:
        return " AND ".join(self.sql)


def _match(column: str, value: str) -> tuple[str, str]:
    if value.endswith("*"):
        return f"{column} LIKE %s", like_literal(value[:-1]) + "%"
    return f"{column} = %s", value


def _messages(terms: list[Term], limit: int) -> list[Hit]:
    conditions = _message_conditions(terms)
    if conditions is None:
        return []
    rows = fetch(
        "SELECT DISTINCT ON (m.created_at, m.id) m.created_at, m.id, m.reverse_path,"
        " r.address, m.client_ip, r.state, r.last_reply"
        " FROM mta_message m JOIN mta_recipient r ON r.message_id = m.id"
        f" WHERE {conditions.where} ORDER BY m.created_at DESC, m.id, r.id LIMIT %s",
        [*conditions.values, limit],
    )
    return [
        Hit(at, message_id, None, sender, recipient, ip, state, reply)
        for at, message_id, sender, recipient, ip, state, reply in rows
    ]


def _message_conditions(terms: list[Term]) -> _Conditions | None:
    """The conditions on messages, or None when no message can match."""
    conditions = _Conditions()
    for term in terms:
        match term.prefix:
            case "qid":
                try:
                    conditions.add("m.id = %s", decode_queue_id(term.value))
                except ValueError:
                    return None
            case "from":
                conditions.match("m.reverse_path", _sender(term.value))
            case "to":
                conditions.match("r.address", _address(term.value))
            case "ip":
                conditions.match("m.client_ip", term.value)
            case "status" if term.value.lower() in _KINDS:
                return None
            case "status" if term.value.lower() in State.values:
                conditions.add("r.state = %s", term.value.lower())
            case "status":
                conditions.add("r.last_reply LIKE %s", f"%{like_literal(term.value)}%")
            case "rule":
                return None
            case "msgid":
                conditions.match("m.header_message_id", _message_id(term.value))
            case _:
                _add_either(conditions, term.value)
    return conditions


def _add_either(conditions: _Conditions, value: str) -> None:
    """An address on either side: two index look-ups rather than an OR across two tables."""
    sender, first = _match("reverse_path", value)
    recipient, second = _match("address", value)
    conditions.add(
        f"m.id IN (SELECT id FROM mta_message WHERE {sender}"
        f" UNION ALL SELECT message_id FROM mta_recipient WHERE {recipient})",
        first,
        second,
    )


def _refusals(terms: list[Term], limit: int) -> list[Hit]:
    conditions = _Conditions()
    for term in terms:
        match term.prefix:
            case "qid" | "msgid":
                return []
            case "from":
                conditions.match("reverse_path", _sender(term.value))
            case "to":
                conditions.match("recipient", _address(term.value))
            case "ip":
                conditions.match("client_ip", term.value)
            case "status" if term.value.lower() in State.values:
                return []
            case "status" if term.value.lower() in _KINDS:
                conditions.add("enforced = %s", _KINDS[term.value.lower()])
            case "status":
                conditions.add("(status = %s OR code::text = %s)", term.value, term.value)
            case "rule":
                conditions.match("rule", term.value)
            case _:
                sender, first = _match("reverse_path", term.value)
                recipient, second = _match("recipient", term.value)
                conditions.add(f"({sender} OR {recipient})", first, second)
    rows = fetch(
        "SELECT at, id, coalesce(reverse_path, ''), recipient, client_ip, rule,"
        " CASE WHEN enforced THEN 'refused' ELSE 'logged' END,"
        " concat_ws(' ', code, nullif(status, ''), text) FROM mta_refusal"
        f" WHERE {conditions.where} ORDER BY at DESC, id DESC LIMIT %s",
        [*conditions.values, limit],
    )
    return [
        Hit(at, None, refusal_id, sender, recipient, ip, kind, f"{text} (rule {rule})")
        for at, refusal_id, sender, recipient, ip, rule, kind, text in rows
    ]


def _sender(value: str) -> str:
    return "" if value == "<>" else _address(value)


def _message_id(value: str) -> str:
    """A Message-ID is stored with its brackets; people copy it without."""
    return value if value.startswith("<") or value.endswith("*") else f"<{value}>"
