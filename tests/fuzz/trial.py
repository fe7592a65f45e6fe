"""A whole fuzz run: a town, an ingress, two campaigns, and then every question to both."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from django.db import connection

from tests.fuzz import campaign, oracle, town, words
from tests.fuzz.campaign import Plan, Report, Sampler
from tests.fuzz.script import Ask, Script
from tests.fuzz.target import State, Target

# This share of the sessions meets the budgets of the defaults.
STRICT_SHARE = 10
FAREWELL = Script(
    "farewell",
    tuple(
        Ask(line.encode() + b"\r\n")
        for line in (
            "EHLO client.example.org",
            "MAIL FROM:<farewell@example.org>",
            f"RCPT TO:<bob@{words.DOMAIN}>",
            "DATA",
            "QUIT",
        )
    ),
)


@dataclass(frozen=True)
class Result:
    """`faults` is everything that is wrong, a sentence each; `rows` what the database has."""

    patient: Report
    strict: Report
    faults: list[str]
    rows: dict[str, int]
    delivered: int


def run(plan: Plan, tell: Callable[[Report], None] | None = None) -> Result:
    """Fuzz an ingress of our own on the empty database that Django is connected to."""
    town.settle()
    town.be_patient()
    with Target() as target:
        quiet = target.state().tasks
        patient = campaign.run(plan, target.ports, Sampler(lambda: _stirred(target), tell))
        town.be_strict()
        strict = campaign.run(_strict(plan), target.ports)
        faults = [*patient.troubles, *strict.troubles]
        try:
            target.quiet_state(quiet)
        except AssertionError as error:
            faults.append(str(error))
        faults += _still_serves(target)
        faults += oracle.broken(words.BACKUP)
        rows = oracle.sizes()
        delivered = target.deliver()
        if left := oracle.undelivered():
            faults.append(f"{left} recipients cannot be delivered")
        state = target.state()
        if state.failures:
            faults.append(f"{state.failures} errors logged; first {state.first_failures}")
    return Result(patient, strict, faults, rows, delivered)


def _stirred(target: Target) -> State:
    """The state, and then a change of policy under the sessions that are open. In a thread, whose
    connection must not outlive the database."""
    try:
        town.stir()
        return target.state()
    finally:
        connection.close()


def _strict(plan: Plan) -> Plan:
    """Other sessions than the first ones."""
    return replace(
        plan,
        commands=0,
        sessions=max(1, plan.sessions // STRICT_SHARE),
        first=plan.first + 1_000_000_000,
    )


def _still_serves(target: Target) -> list[str]:
    before = oracle.sizes()["messages"]
    trouble = campaign.play_one(FAREWELL, target.ports).trouble
    if trouble or oracle.sizes()["messages"] != before + 1:
        return [f"the ingress does not take a plain message any more: {trouble or 'refused'}"]
    return []
