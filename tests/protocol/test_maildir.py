"""File names and quota files of a Maildir."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.protocol import maildir, maildirsize


@given(st.text(), st.text())
def test_mailbox_name_is_two_plain_names_or_refused(local, domain):
    try:
        name = maildir.mailbox_name(local, domain)
    except ValueError:
        return
    parts = name.split("/")
    assert len(parts) == 2
    assert all(part and not part.startswith(".") and "\x00" not in part for part in parts)


def test_mailbox_name_is_lower_case():
    assert maildir.mailbox_name("Ann.Lee", "Example.COM") == "example.com/ann.lee"


@given(
    st.floats(0, 1e10),
    st.from_regex(r"[0-9a-z]{13}", fullmatch=True),
    st.integers(1, 1 << 62),
    st.from_regex(r"[a-z0-9./:-]{1,60}", fullmatch=True),
    st.integers(0, 1 << 40),
    st.sampled_from(["", ":2,", ":2,S", ":2,FRST"]),
)
def test_name_tells_what_it_was_made_of(created_at, queue_id, recipient_id, host, size, flags):
    key = maildir.delivery_key(created_at, queue_id, recipient_id)
    name = maildir.file_name(key, host, size)
    assert "/" not in name
    assert ":" not in name
    assert maildir.key_of(name + flags) == key
    assert maildir.size_of(name + flags) == size
    assert maildir.flags_of(name + flags) == flags[3:]


@pytest.mark.parametrize("name", ["1.M2P3.host", "1.M2P3.host:2,S", "1.M2P3.host,S=x", ""])
def test_name_without_size(name):
    assert maildir.size_of(name) is None


def test_usage_lines_are_padded():
    assert maildirsize.usage_line(5, 1) == b"5 1          \n"
    assert len(maildirsize.usage_line(-5, -1)) == 14
    assert maildirsize.usage_line(123456789012345, 42) == b"123456789012345 42\n"


def test_usage_is_the_sum_of_the_lines():
    usage = maildirsize.parse(b"10000S,5C\n100 2       \n-40 -1      \n")
    assert usage == maildirsize.Usage("10000S,5C", 60, 1, 2)


@pytest.mark.parametrize(
    "text", [b"", b"100S", b"100S\nx y\n", b"100S\n1\n", b"100S\n1 1", b"1S\n" + b"0 0\n" * 2000]
)
def test_useless_quota_file_is_counted_anew(text):
    assert maildirsize.parse(text) is None


@given(st.binary())
def test_no_quota_file_breaks_the_reader(text):
    maildirsize.parse(text)


@pytest.fixture
def box(tmp_path: Path) -> Path:
    for folder in ("", ".Sent", ".Trash"):
        for name in ("tmp", "new", "cur"):
            (tmp_path / folder / name).mkdir(parents=True)
    return tmp_path


def put(box: Path, name: str, text: str = "") -> None:
    (box / name).write_text(text)


def test_count(box):
    put(box, "new/1.a.h,S=100")
    put(box, "cur/2.b.h,S=50:2,S")
    put(box, "cur/3.trashed.h,S=7000:2,ST")
    put(box, ".Sent/cur/4.c.h:2,S", "12345")
    put(box, ".Trash/cur/5.d.h,S=9000")
    put(box, "tmp/6.e.h", "not there yet")
    assert maildirsize.count(str(box)) == (155, 3)


def test_missing_or_foreign_quota_is_counted_anew(box):
    put(box, "new/1.a.h,S=100")
    assert maildirsize.Account(str(box), 150).admits(50)
    assert (box / "maildirsize").read_bytes() == b"150S\n100 1        \n"
    put(box, "maildirsize", "9S\n1 1\n")
    assert not maildirsize.Account(str(box), 120).admits(50)
    assert (box / "maildirsize").read_bytes() == b"120S\n100 1        \n"


def test_full_box_is_counted_anew_when_the_file_may_be_stale(box):
    file = box / "maildirsize"
    file.write_bytes(b"100S\n90 1\n")
    assert not maildirsize.Account(str(box), 100).admits(50), "one fresh line is believed"
    file.write_bytes(b"100S\n45 1\n45 1\n")
    assert maildirsize.Account(str(box), 100).admits(50), "mail was removed since"
    file.write_bytes(b"100S\n90 1\n")
    old = time.time() - 16 * 60
    os.utime(file, (old, old))
    assert maildirsize.Account(str(box), 100).admits(50), "the file is old"


def test_no_limit_keeps_a_foreign_quota_file_true(box):
    account = maildirsize.Account(str(box), 0)
    assert account.admits(1 << 60)
    account.add(70)
    account.settle()
    assert not (box / "maildirsize").exists()
    put(box, "maildirsize", "500S\n")
    account.settle()
    assert maildirsize.parse((box / "maildirsize").read_bytes()) == maildirsize.Usage(
        "500S", 70, 1, 1
    )
