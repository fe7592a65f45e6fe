"""Which messages look alike to the filter against slews (spec 6.2, dupfilter)."""

from base64 import encodebytes
from quopri import encodestring

from mta.filters.digests import digests

LINES = [
    "Dear friend,",
    "this is your only chance",
    "to get rich in a day.",
    "Click here",
    "and be quick",
    "Yours, Mallory",
]


def letter(lines=LINES, subject="Get rich", header=""):
    body = "\r\n".join(lines)
    return f"From: a@b.test\r\n{header}Subject: {subject}\r\n\r\n{body}\r\n".encode()


def test_numbers_punctuation_and_case_hide_nothing():
    other = [line.upper() + " 4711!" for line in LINES]
    assert digests(letter()) == digests(letter(other, "GET R1ICH"))
    assert digests(letter()) == digests(letter(["", *LINES, "---"]))


def test_a_salutation_of_ones_own_leaves_the_bottom_and_a_footer_the_top():
    plain = digests(letter())
    greeted = digests(letter(["Dear Ann,", *LINES[1:]]))
    signed = digests(letter([*LINES[:-1], "Unsubscribe as ann"]))
    assert (greeted.top != plain.top, greeted.bottom == plain.bottom) == (True, True)
    assert (signed.top == plain.top, signed.bottom != plain.bottom) == (True, True)


def test_a_short_message_is_taken_whole():
    short = digests(letter(LINES[:3]))
    assert short.top == short.bottom
    assert short != digests(letter(["Dear Ann", *LINES[1:3]]))


def test_the_text_counts_and_not_its_encoding():
    text = "\r\n".join(LINES).encode()
    for name, encoded in (("base64", encodebytes(text)), ("quoted-printable", encodestring(text))):
        header = f"MIME-Version: 1.0\r\nContent-Transfer-Encoding: {name}\r\n".encode()
        wire = encoded.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        content = b"Subject: Get rich\r\n" + header + b"\r\n" + wire
        assert digests(content) == digests(letter()), name


def test_letters_of_any_alphabet_count():
    assert digests(letter(["Привет"])) != digests(letter(["Пока"]))
    assert digests(letter(["Привет"])) == digests(letter(["привет 1"]))


def test_another_attachment_makes_another_message():
    assert digests(scan(b"one")) != digests(scan(b"two"))
    assert digests(scan(b"one")) == digests(scan(b"one"))


def scan(attachment):
    return (
        b'Subject: Scan\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n'
        b"\r\n--b\r\n\r\nsee the file\r\n--b\r\nContent-Type: application/pdf\r\n\r\n"
        + attachment
        + b"\r\n--b--\r\n"
    )


def test_a_message_without_letters_looks_like_no_other():
    assert digests(b"X: y\r\n\r\n123\r\n") is None
