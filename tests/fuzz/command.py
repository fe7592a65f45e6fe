"""What `tests.fuzz.run` does once there is an environment to do it in."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager

import django

django.setup()

from django.db import connection  # noqa: E402
from django.test.utils import setup_databases, teardown_databases  # noqa: E402

from tests.fuzz import campaign, generator, town, trial  # noqa: E402
from tests.fuzz.campaign import Plan, Report  # noqa: E402
from tests.fuzz.target import Target  # noqa: E402

# kB of resident memory that 1,000 sessions may cost once the ingress is warm: if each left as
# much behind as it holds while it lives, it would be ten times that.
GROWTH_ALLOWED = 400.0
# A shorter run never is.
WARM_AFTER = 20_000


def run(options: argparse.Namespace) -> int:
    """The exit status."""
    print(f"seed {options.seed}", flush=True)
    plan = Plan(options.seed, options.commands, options.sessions, options.at_once)
    if options.only is not None:
        return _only(options)
    if options.port:
        return _finish(_from_outside(plan, options.port))
    with _scratch_database():
        result = trial.run(plan, _tell)
    _print(result.patient)
    rows = ", ".join(f"{count:,} {what}" for what, count in result.rows.items())
    print(f"with the default budgets: {result.strict.sessions:,} sessions")
    print(f"in the database: {rows}; {result.delivered:,} delivered")
    return _finish(result.faults + _memory_faults(result.patient))


def _only(options: argparse.Namespace) -> int:
    script = generator.session(options.seed, options.only)
    print(f"{script.kind} at {script.door}{' in clear' if script.in_clear else ''}")
    for step in script.steps:
        print(f"  {step}")
    if options.port:
        return _finish([campaign.play_one(script, _ports(options.port)).trouble])
    with _scratch_database():
        town.settle()
        town.be_patient()
        with Target() as target:
            trouble = campaign.play_one(script, target.ports).trouble
            return _finish([trouble, *target.state().first_failures])


def _from_outside(plan: Plan, port: int) -> list[str]:
    report = campaign.run(plan, _ports(port))
    _print(report)
    return report.troubles + [campaign.play_one(trial.FAREWELL, _ports(port)).trouble]


def _ports(port: int) -> dict[str, int]:
    return dict.fromkeys(("smtp", "submission", "smtps"), port)


def _tell(report: Report) -> None:
    sessions, resident = report.memory[-1]
    print(
        f"{sessions:,} sessions, {report.commands:,} commands, {report.rate:,.0f} commands/s,"
        f" {resident / 1024:.1f} MB resident, {len(report.troubles)} troubles",
        flush=True,
    )


def _print(report: Report) -> None:
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in report.kinds.most_common())
    print(f"{report.sessions:,} sessions: {kinds}")
    print(
        f"{report.commands:,} commands in {report.seconds:,.0f} s, {report.rate:,.0f} commands/s,"
        f" {report.sessions / report.seconds:,.0f} sessions/s"
    )
    if report.memory:
        print(f"memory of the second half: {report.growth():+.1f} kB per 1,000 sessions")
        print(f"the ingress stood still for {1000 * report.stood_still:.0f} ms at most")


def _memory_faults(report: Report) -> list[str]:
    growth = report.growth()
    if report.sessions < WARM_AFTER or growth <= GROWTH_ALLOWED:
        return []
    return [f"the memory grows by {growth:.0f} kB per 1,000 sessions"]


def _finish(faults: list[str]) -> int:
    real = [fault for fault in faults if fault]
    for fault in real:
        print(f"FAULT: {fault}")
    print("failed" if real else "all well")
    return 1 if real else 0


@contextmanager
def _scratch_database() -> Iterator[None]:
    """A database of its own, with every table, removed afterwards."""
    connection.settings_dict["TEST"]["NAME"] = f"fuzz_{os.getpid()}"
    made = setup_databases(verbosity=0, interactive=False, serialized_aliases=[])
    try:
        yield
    finally:
        teardown_databases(made, verbosity=0)
