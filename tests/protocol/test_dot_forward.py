"""`.forward` files (spec 3.9, vector A13)."""

import pytest

from mta.protocol.dot_forward import IncludeError, translate

OWN = "sam@example.com"


def no_file(path: str) -> str:
    raise FileNotFoundError(path)


@pytest.mark.parametrize(
    ("text", "visited", "instructions", "keeps_copy"),
    [
        ("john, john@o.org", (), ["!john, john@o.org"], False),
        ("john, john@o.org", ("john@example.com",), ["!john@o.org"], False),
        ("john, sam", (), ["!john"], True),
        ("\\sam, john", (), ["!john"], True),
        ("SAM@Example.com", (), [], True),
        ('\\john, "|/usr/bin/foo"', (), ["|/usr/bin/foo", "!john"], False),
        ('"|prog a, b"', (), ["|prog a, b"], False),
        ('"/var/mail/x", "./box"', (), ["/var/mail/x", "./box"], False),
        ("  |prog a, b\n./Maildir", (), ["|prog a, b", "./Maildir"], False),
        ("# nobody\n\n", (), [], False),
    ],
)
def test_what_a_file_means(text, visited, instructions, keeps_copy):
    forwarding = translate(text, OWN, visited, no_file)
    assert (forwarding.instructions, forwarding.keeps_copy) == (instructions, keeps_copy)


def test_included_lists():
    lists = {"/lists/a": "ann\n:include:/lists/b", "/lists/b": "bob, sam"}
    forwarding = translate(":include:/lists/a", OWN, (), lists.__getitem__)
    assert forwarding.instructions == ["!ann", "!bob"]
    assert forwarding.keeps_copy


def test_a_list_that_is_not_there():
    with pytest.raises(IncludeError, match="/gone"):
        translate(":include:/gone", OWN, (), no_file)


def test_lists_that_include_each_other():
    with pytest.raises(IncludeError, match="deeply"):
        translate(":include:/a", OWN, (), lambda path: ":include:/a")
