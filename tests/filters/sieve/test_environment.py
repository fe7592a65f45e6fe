"""environment (RFC 5183)."""

import pytest

from mta.filters.sieve.evaluate import Surroundings
from tests.support.sieve import holds

HERE = Surroundings(items={"phase": "during", "remote-ip": "192.0.2.1", "location": "MTA"})


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ('environment "phase" "during"', True),  # 4
        ('environment "Phase" "DURING"', True),
        ('environment :matches "remote-ip" "192.0.2.*"', True),
        ('environment "location" "MDA"', False),
        ('environment "vnd.x.nothing" ""', False),  # 4, unknown matches nothing
        ('environment :count "eq" "vnd.x.nothing" "0"', False),
        ('environment :count "eq" "phase" "1"', True),
    ],
)
def test_items(test, expected):
    assert holds(test, surroundings=HERE) is expected
