"""Message ids: ascending, unique among processes, within 63 bits."""

import pytest

from mta.protocol.queue_id import decode_queue_id, encode_queue_id
from mta.queue import ids
from tests.support.threads import Beside


def test_ids_ascend_even_when_the_clock_stands_or_goes_back(monkeypatch):
    moments = [1_800_000_000_000_000_000] * 3000 + [1_700_000_000_000_000_000] * 10
    monkeypatch.setattr(ids.time, "time_ns", lambda: moments.pop(0))
    maker = ids.IdMaker(7)
    made = [maker.next() for _ in range(3010)]
    assert made == sorted(set(made))
    assert {number >> 10 & 1023 for number in made} == {7}
    assert max(made) < 1 << 63


def test_threads_never_share_an_id():
    maker = ids.IdMaker(1023)
    makers = [Beside(lambda: [maker.next() for _ in range(2000)]) for _ in range(4)]
    made = [number for each in makers for number in each.result()]
    assert len(set(made)) == 8000


@pytest.mark.django_db
def test_each_process_has_a_number_of_its_own():
    first, second = ids.make_id_maker().next(), ids.make_id_maker().next()
    assert first >> 10 & 1023 != second >> 10 & 1023
    assert decode_queue_id(encode_queue_id(first)) == first
