"""From a local part to an account and its instruction file (spec 3.8, vectors A4 and A5)."""

import pytest

from mta.protocol.local_account import (
    BadLocalPart,
    candidates,
    extension_variables,
    instruction_files,
)


def looked_up(local_part: str) -> list[tuple[str, str]]:
    return [(each.account, each.extension) for each in candidates(local_part)]


@pytest.mark.parametrize(
    ("local_part", "expected"),
    [
        ("home1", [("home1", "")]),
        ("home1-none", [("home1-none", ""), ("home1", "none")]),
        (
            "home1-mlm-unsub",
            [("home1-mlm-unsub", ""), ("home1-mlm", "unsub"), ("home1", "mlm-unsub")],
        ),
        ("ann+a-b", [("ann+a-b", ""), ("ann+a", "b"), ("ann", "a-b")]),
        ("-x", [("-x", "")]),
        (
            "a-b-c-d-e",
            [("a-b-c-d", "e"), ("a-b-c", "d-e"), ("a-b", "c-d-e"), ("a", "b-c-d-e")],
        ),
    ],
)
def test_accounts_are_tried_from_the_longest(local_part, expected):
    assert looked_up(local_part) == expected


@pytest.mark.parametrize("local_part", ["", ".xalias", "host!ann", "a/b", "a\0", "a\nb"])
def test_names_nobody_may_address(local_part):
    with pytest.raises(BadLocalPart):
        looked_up(local_part)


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        ("", [(".courier", "")]),
        ("foo", [(".courier-foo", ""), (".courier-default", "foo")]),
        (
            "a-b-c",
            [
                (".courier-a-b-c", ""),
                (".courier-a-b-default", "c"),
                (".courier-a-default", "b-c"),
                (".courier-default", "a-b-c"),
            ],
        ),
        ("v1.2", [(".courier-v1:2", ""), (".courier-default", "v1.2")]),
        ("..", [(".courier-::", ""), (".courier-default", "..")]),
    ],
)
def test_files_are_looked_for_from_the_most_particular(extension, expected):
    assert [(each.name, each.default) for each in instruction_files(extension)] == expected


def test_qmail_files_by_another_stem():
    names = [each.name for each in instruction_files("foo", "qmail")]
    assert names == [".qmail-foo", ".qmail-default"]


@pytest.mark.parametrize("extension", ["../x", "a/b", "a\0", "x" * 300])
def test_extensions_that_name_no_file(extension):
    with pytest.raises(BadLocalPart):
        list(instruction_files(extension))


def test_variables_of_an_extension():
    assert extension_variables("foo-bar-foobar", "bar-foobar") == {
        "EXT": "foo-bar-foobar",
        "EXT2": "bar-foobar",
        "EXT3": "foobar",
        "EXT4": "",
        "DEFAULT": "bar-foobar",
    }
