"""What is found in attachments and archives, and what hostile ones cost."""

import io
import zipfile
import zlib

import pytest

from mta.filters import archives
from mta.filters.archives import Reader
from mta.filters.attachment_rules import DANGEROUS, Rules, examine
from mta.filters.parts import Part

EVERYTHING = Rules(
    extensions=frozenset(DANGEROUS),
    executables=True,
    double_extensions=True,
    encrypted_archives=True,
    unreadable_archives=True,
)


def part(name="", body=b"", content_type="application/octet-stream"):
    return Part(content_type, name, "", True, "", body)


def archive(*members, method=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name, body in members:
            file.writestr(name, body)
    return stream.getvalue()


def encrypted(octets):
    """The archive with the flags of its members set as for encrypted ones."""
    octets = bytearray(octets)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = octets.find(signature)
        while at >= 0:
            octets[at + offset] |= 1
            at = octets.find(signature, at + 1)
    return bytes(octets)


@pytest.mark.parametrize(
    ("attachment", "problem"),
    [
        (part("a.EXE"), "ends in .exe"),
        (part("holiday.jpg.scr"), "hides what it is"),
        (part("a.exe "), "ends in .exe"),
        (part("letter.txt", b"MZ\x90\0"), "is a Windows program"),
        (part("letter", b"\x7fELF\x02"), "is a Linux program"),
        (part("letter", b"#!/bin/sh\n"), "is a script"),
        (part("a.zip", archive(("docs/run.js", b"x"))), "the file 'run.js' in the archive 'a.zip'"),
        (part("a.dat", archive(("b", b"MZ"))), "the file 'b' in the archive 'a.dat' is a Windows"),
        (part("a.zip", archive(("b.zip", archive(("c.exe", b""))))), "'c.exe'"),
        (part("a.zip", encrypted(archive(("b.txt", b"x")))), "there are encrypted files"),
        (part("a.zip", encrypted(archive(("b.exe", b"x")))), "ends in .exe"),
        (part("a.zip", b"PK\x03\x04rubbish"), "a broken archive"),
        (part("a.zip", b"no archive at all"), "a broken archive"),
        (part("a.zip", b"before" + archive(("c.exe", b""))), "'c.exe'"),
        (part("a.zip", archive(("b.txt", b"x"), method=zipfile.ZIP_LZMA)), "in a rare way"),
    ],
)
def test_what_is_not_wanted_is_found(attachment, problem):
    assert problem in "; ".join(examine([attachment], EVERYTHING))


@pytest.mark.parametrize(
    "attachment",
    [
        part("letter.pdf", b"%PDF-1.7"),
        part("my.report.v1.2.docx", archive(("word/document.xml", b"<w/>"))),
        part("a.zip", archive(("b.txt", b"x"), ("dir/", b""))),
        part("exe", b""),
        part("a.tar.gz", b"\x1f\x8b"),
        part("", b"Dear Ann", "text/plain"),
    ],
)
def test_what_is_wanted_passes(attachment):
    assert examine([attachment], EVERYTHING) == []


def test_globs_types_sizes_and_numbers():
    parts = [part("Invoice-1.pdf", b"x" * 10, "application/pdf"), part("b", b"", "video/mp4")]
    assert examine(parts, Rules(names=("invoice-*.pdf",))) == [
        "the attachment 'Invoice-1.pdf' matches invoice-*.pdf"
    ]
    assert examine(parts, Rules(types=("Video/*",))) == ["the attachment 'b' is of type video/mp4"]
    assert examine(parts, Rules(max_size=9)) == [
        "the attachment 'Invoice-1.pdf' has 10 octets, 9 may be"
    ]
    assert examine(parts, Rules(max_size=10, max_count=2)) == []
    assert examine(parts, Rules(max_count=1)) == ["2 attachments, 1 may be"]


def test_the_text_of_a_letter_is_no_attachment():
    body = Part("text/plain", "", "", False, "", b"#!/bin/sh\r\n")
    html = Part("text/html", "", "", False, "", b"<p>")
    assert examine([body, html], Rules(executables=True, max_count=1, max_size=1)) == []


def test_a_bomb_costs_no_more_than_the_budget():
    inner = archive(("zeros.txt", b"\0" * 5_000_000))
    bomb = archive(*((f"{n}.zip", archive(("x.zip", inner))) for n in range(20)))
    reader = Reader(unpacked=20_000)
    assert "too much" in reader.read(bomb).unreadable or "within" in reader.read(bomb).unreadable
    zeros = archive(("a.zip", archive(("b", b""))[:4] + b"\0" * 30_000_000))
    assert "too much" in Reader(unpacked=1_000_000).read(zeros).unreadable


def test_a_crowd_of_files_is_not_counted_to_its_end():
    crowd = archive(*((f"{n}", b"") for n in range(50)), method=zipfile.ZIP_STORED)
    contents = Reader(members=20).read(crowd)
    assert (len(contents.members), contents.unreadable) == (20, archives.TOO_MANY)
    directory = b"PK\x03\x04" + archives._ENTRY * 30_000
    assert Reader().read(directory).unreadable == archives.TOO_MANY


def test_no_damage_makes_it_fail():
    good = archive(("a.txt", b"hello " * 100), ("b.zip", archive(("c.exe", b"MZ" * 50))))
    for at in range(len(good)):
        broken = good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :]
        Reader().read(broken)
        Reader().read(good[:at])
    assert zlib.crc32(good)
