"""Step 2, the end of DATA: the content is read for policy, and finished for the queue.

What is read are facts; what is finished is the message as we stand for it: line ends, the
headers a submission server adds, an explanation around what is broken.
"""

from dataclasses import dataclass

from mta.ingress.transaction import Transaction
from mta.intake import Arrival
from mta.policy.facts import ContentFacts, MimeMode, Policy, SessionFacts, Terms
from mta.protocol import headers
from mta.protocol.authors import authors
from mta.protocol.mime_problem import Problem
from mta.protocol.mime_structure import examine
from mta.protocol.mimeify import mimeify
from mta.protocol.queue_id import encode_queue_id
from mta.protocol.rewrite import RewriteError, RewriteOptions, rewrite
from mta.protocol.wrap import wrap


@dataclass(frozen=True, slots=True)
class Reading:
    """A content with its header section in order, what policy may know of it, and what is wrong
    with its MIME."""

    content: bytes
    facts: ContentFacts
    problems: tuple[Problem, ...]


def read(
    received: bytes, session: SessionFacts, current: Transaction, terms: Terms, arrival: Arrival
) -> Reading:
    """The content as it came, dot-unstuffed. What a submission server may mend is mended first
    (RFC 6409 8); `arrival` names what it has to name."""
    policy = current.policy
    content = normalize_line_ends(received) if session.auth_user else received
    line_ends = content.count(b"\r\n")
    bare_line_ends = content.count(b"\n") != line_ends or content.count(b"\r") != line_ends
    problems: tuple[Problem, ...] = ()
    # What has lone CRs and LFs is refused whatever else it says, and has no lines to speak of.
    if not bare_line_ends:
        content, problems = _in_order(content, session, current, arrival)
        if not problems and terms.mime is not MimeMode.ACCEPT:
            problems = _examined(content, current, policy)
    head = headers.scan(content)
    facts = ContentFacts(
        size=len(received),
        header_size=head.size,
        header_lines=head.fields,
        hops=head.hops,
        longest_line=_longest_line(content),
        bare_line_ends=bare_line_ends,
        eight_bit_header=head.eight_bit,
        problems=tuple(map(str, problems)),
        authors=_authors(content, policy),
        recipients=tuple(
            target
            for recipient, rcpt in current.accepted
            for target in (rcpt.resolution.targets or (recipient.address,))
        ),
    )
    return Reading(content, facts, problems)


def finish(reading: Reading, policy: Policy, terms: Terms, arrival: Arrival) -> bytes:
    """The message for the queue, without its Received header."""
    content = headers.rename_return_path(reading.content)
    if terms.mime is MimeMode.ACCEPT:
        return content
    if reading.problems:
        return wrap(
            content,
            reading.problems,
            hostname=policy.hostname,
            at=arrival.at,
            message_id=_message_id(policy, arrival),
        )
    return mimeify(content)


def _in_order(
    content: bytes, session: SessionFacts, current: Transaction, arrival: Arrival
) -> tuple[bytes, tuple[Problem, ...]]:
    """The content with its header section completed; only users get what is missing."""
    policy = current.policy
    user = bool(session.auth_user)
    options = RewriteOptions(
        hostname=policy.hostname,
        default_domain=policy.hostname,
        smtputf8=current.mail.smtputf8,
        submission=user,
        add_date=arrival.at if user else None,
        add_message_id=_message_id(policy, arrival) if user else "",
    )
    try:
        return rewrite(content, options), ()
    except RewriteError as error:
        return content, (Problem("", str(error)),)


def _examined(content: bytes, current: Transaction, policy: Policy) -> tuple[Problem, ...]:
    limits = policy.limits
    return examine(
        content,
        smtputf8=current.mail.smtputf8,
        max_depth=limits.mime_depth,
        max_parts=limits.mime_parts,
    )


def _authors(content: bytes, policy: Policy) -> tuple[str, ...]:
    """The addresses in From; only read when a rule wants to know them."""
    if "off" in policy.spf.from_:
        return ()
    return authors(content)


def _message_id(policy: Policy, arrival: Arrival) -> str:
    return f"<{encode_queue_id(arrival.id)}@{policy.hostname}>"


def normalize_line_ends(content: bytes) -> bytes:
    """Every CR, LF and CRLF becomes CRLF: what a submission server may mend (RFC 6409 8)."""
    unix = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return unix.replace(b"\n", b"\r\n")


def _longest_line(content: bytes) -> int:
    """The length of the longest line; only its order of size matters to policy."""
    longest = 0
    start = 0
    # Jump from line end to line end only where a long line is possible at all.
    while start < len(content):
        window = content.rfind(b"\n", start, start + 1000)
        if window >= 0:
            start = window + 1
            longest = max(longest, min(1000, len(content)))
            continue
        end = content.find(b"\n", start)
        end = len(content) if end < 0 else end
        longest = max(longest, end - start)
        start = end + 1
    return longest
