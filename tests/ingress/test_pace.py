"""How fast a content must come in, with a clock that tells what the test says."""

from mta.ingress.pace import WINDOW_SECONDS, Pace


def test_only_a_whole_window_is_judged():
    pace = Pace()
    pace.begin(1000.0, least=500)
    assert not pace.is_too_slow(1000.0 + WINDOW_SECONDS / 2)
    assert pace.is_too_slow(1000.0 + WINDOW_SECONDS)


def test_each_window_is_judged_by_itself():
    pace = Pace()
    pace.begin(0.0, least=500)
    pace.came(1_000_000)
    assert not pace.is_too_slow(WINDOW_SECONDS)
    pace.came(499 * 60)
    assert pace.is_too_slow(2 * WINDOW_SECONDS)


def test_just_fast_enough_for_ever():
    pace = Pace()
    pace.begin(0.0, least=500)
    for window in range(1, 100):
        pace.came(int(500 * WINDOW_SECONDS))
        assert not pace.is_too_slow(window * WINDOW_SECONDS)


def test_any_pace_will_do_without_a_limit_and_outside_a_content():
    pace = Pace()
    assert not pace.is_too_slow(1e9)
    pace.begin(0.0, least=0)
    assert not pace.is_too_slow(1e9)
    pace.begin(0.0, least=500)
    pace.end()
    assert not pace.is_too_slow(1e9)
