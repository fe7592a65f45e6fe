"""Carries a plan out. The caller holds the transaction: all of it, or nothing."""

from django.db import models

from mta.upgrade.plan import Plan, Verdict

_BATCH = 1000


def apply(plan: Plan) -> int:
    """Save what is to be made; gives how many rows and settings that are. Raises DatabaseError."""
    steps = plan.of(Verdict.MAKE)
    # Domains come first in a plan, so that mailboxes find theirs saved.
    fresh: dict[type[models.Model], list[models.Model]] = {}
    changed: list[models.Model] = []
    for step in steps:
        assert step.row is not None
        if step.row.pk is None:
            fresh.setdefault(type(step.row), []).append(step.row)
        elif step.row not in changed:
            changed.append(step.row)
    for model, rows in fresh.items():
        model._default_manager.bulk_create(rows, batch_size=_BATCH)
    for row in changed:
        row.save()
    return len(steps)
