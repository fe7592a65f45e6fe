"""Step 8, reports to senders: from failed, delayed or delivered recipients to new mail.

This module is no transport in the registry's sense: it claims no address and delivers to nobody.
The scheduler picks the recipients to report on (NOTIFY is its business) and calls `compose`;
what comes back enters the queue at step 4 like any other message.
"""

from dataclasses import replace

from mta.protocol import dsn
from mta.protocol.dsn import Action, RecipientReport, Report
from mta.protocol.envelope import DOUBLE_BOUNCE_SENDER, Envelope, Recipient, Source

__all__ = ["Action", "DOUBLE_BOUNCE_SENDER", "RecipientReport", "Report", "compose"]


def compose(report: Report) -> tuple[Envelope, bytes] | None:
    """The report as mail to queue, or None when nobody is to be told.

    Mail without a sender is reported to the postmaster when it failed, and only then; a failure
    of that report is the end.
    """
    if report.reverse_path == DOUBLE_BOUNCE_SENDER or not report.recipients:
        return None
    if report.reverse_path:
        return _to_sender(report)
    failed = tuple(each for each in report.recipients if each.action is Action.FAILED)
    return _to_postmaster(replace(report, recipients=failed)) if failed else None


def _to_sender(report: Report) -> tuple[Envelope, bytes]:
    rendering = dsn.render(report, report.reverse_path)
    # Should this report fail, the postmaster hears of it, so failures are not NEVER.
    return _envelope("", Recipient(report.reverse_path), rendering), rendering.content


def _to_postmaster(report: Report) -> tuple[Envelope, bytes]:
    postmaster = report.double_bounce_to or report.postmaster
    rendering = dsn.render(report, postmaster, double_bounce=True)
    to = Recipient(postmaster, notify="NEVER")
    return _envelope(DOUBLE_BOUNCE_SENDER, to, rendering), rendering.content


def _envelope(reverse_path: str, recipient: Recipient, rendering: dsn.Rendering) -> Envelope:
    return Envelope(reverse_path, (recipient,), Source.DSN, smtputf8=rendering.smtputf8)
