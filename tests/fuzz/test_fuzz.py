"""A short fuzz of a real ingress, and that it is repeatable; `tests.fuzz.run` is the long one."""

import random

import pytest

from tests.fuzz import generator, trial
from tests.fuzz.campaign import Plan, Report
from tests.fuzz.script import Script

SESSIONS = 1_000


def test_nothing_a_client_says_breaks_the_ingress(transactional_db):
    plan = Plan(seed=random.randrange(2**32), commands=0, sessions=SESSIONS)
    print(f"seed {plan.seed}")
    result = trial.run(plan)
    assert result.faults == [], f"python3 -m tests.fuzz.run --seed {plan.seed} --only NUMBER"
    assert result.patient.sessions >= SESSIONS
    assert min(result.rows["messages"], result.rows["refusals"], result.delivered) > 0


def test_a_session_is_made_of_its_seed_and_number_alone():
    forwards = [generator.session(7, number) for number in range(300)]
    backwards = [generator.session(7, number) for number in reversed(range(300))]
    assert forwards == backwards[::-1]
    assert forwards != [generator.session(8, number) for number in range(300)]


def test_every_order_of_four_of_eight_verbs_has_its_turn():
    assert generator.ORDERS == 8**4
    scripts = [
        generator.session(1, place * generator.ORDER_EVERY) for place in range(generator.ORDERS)
    ]
    assert {script.kind for script in scripts} == {"order of verbs"}
    assert len({_verbs(script) for script in scripts}) == 8**4


@pytest.mark.parametrize(
    ("memory", "growth"),
    [
        ([], 0),
        ([(0, 100), (1000, 900)], 0),
        ([(0, 0), (1000, 500), (2000, 600), (3000, 700)], 100),
        ([(0, 100), (1000, 500), (2000, 500), (3000, 500)], 0),
    ],
)
def test_growth_is_that_of_the_second_half(memory, growth):
    assert Report(memory=memory).growth() == pytest.approx(growth)


def _verbs(script: Script) -> tuple[bytes, ...]:
    return tuple(step.octets.split()[0] for step in script.steps)
