"""Step 2, the end of DATA: the content is read for policy, and finished for the queue.

What is read are facts; what is finished is the message as we stand for it: line ends, the
headers a submission server adds, an explanation around what is broken.
"""

from dataclasses import dataclass

from mta.ingress.transaction import Transaction
from mta.policy.facts import ContentFacts, SessionFacts, Terms
from mta.protocol import headers


@dataclass(frozen=True, slots=True)
class Reading:
    """A content with CRLF line ends and what policy may know of it."""

    content: bytes
    facts: ContentFacts


def read(received: bytes, session: SessionFacts, current: Transaction, terms: Terms) -> Reading:
    """The content as it came, dot-unstuffed. A user's line ends are mended first."""
    content = normalize_line_ends(received) if session.auth_user else received
    head = headers.scan(content)
    line_ends = content.count(b"\r\n")
    facts = ContentFacts(
        size=len(content),
        header_size=head.size,
        hops=head.hops,
        longest_line=_longest_line(content),
        bare_line_ends=content.count(b"\n") != line_ends or content.count(b"\r") != line_ends,
        eight_bit_header=head.eight_bit,
        recipients=tuple(
            target
            for recipient, rcpt in current.accepted
            for target in (rcpt.resolution.targets or (recipient.address,))
        ),
    )
    return Reading(content, facts)


def finish(reading: Reading, session: SessionFacts, current: Transaction, terms: Terms) -> bytes:
    """The message for the queue, without its Received header."""
    return headers.rename_return_path(reading.content)


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
