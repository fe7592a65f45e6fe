"""Job: what a draft of a site filter would have done with the mail that is still there."""

from dataclasses import asdict
from typing import Any

from courierweb.jobs.launch import report
from mta import filter_trial
from mta.protocol.site_filter import FilterTerms

REPORTED_EVERY = 50


def replay(terms: FilterTerms, limit: int) -> dict[str, Any]:
    """How many messages were looked at, and those that the draft would have treated otherwise."""
    samples = filter_trial.samples(limit, terms.name)
    report(f"{len(samples)} messages have their content")
    changes = []
    for number, sample in enumerate(samples, 1):
        change = filter_trial.compare(terms, sample)
        if change is not None:
            changes.append(asdict(change))
        if number % REPORTED_EVERY == 0:
            report(f"{number} looked at, {len(changes)} would be another way")
    report(f"all looked at, {len(changes)} would be another way")
    return {"looked_at": len(samples), "changes": changes}
