"""When copies are a slew, as the trace of dupfilter has it (spec 6.2)."""

from mta.protocol.slew import Copy, Word, judge


def test_the_copy_that_reaches_the_level_stops_the_earlier_ones_and_all_that_follow():
    earlier: list[Copy] = []
    words = []
    for number in range(1, 7):
        word = judge(earlier, 4)
        words.append((word.slew, word.copies, word.stop))
        earlier = [Copy(c.message_id, c.stopped or c.message_id in word.stop) for c in earlier]
        earlier.insert(0, Copy(number, word.slew))
    assert words == [
        (False, 1, ()),
        (False, 2, ()),
        (False, 3, ()),
        (True, 4, (3, 2, 1)),
        (True, 5, ()),
        (True, 6, ()),
    ]


def test_the_newest_copy_decides_whether_the_slew_goes_on():
    assert judge([Copy(2), Copy(1, stopped=True)], 4) == Word(False, 3)
    assert judge([Copy(2, stopped=True), Copy(1)], 4) == Word(True, 3)


def test_a_copy_that_was_stopped_before_is_not_stopped_again():
    assert judge([Copy(3), Copy(2, stopped=True), Copy(1)], 4).stop == (3, 1)
