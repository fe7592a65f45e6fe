"""Filters of other people judge our mail within the session: rspamd, OpenDKIM, Courier's."""

import smtplib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import pytest

from tests.peers.conftest import ANNA, BERT, CACHE, DOMAIN, PASSWORD
from tests.peers.filter_software import DupFilter, FilterSoftware, OpenDkim, Rspamd
from tests.peers.letters import arrived, letter
from tests.peers.packages import NoPeer
from tests.support.appliance import Appliance, transfer

pytestmark = pytest.mark.peers

STRANGER = "alice@postfix.test"


def run_software(
    make: Callable[[], FilterSoftware], site: Appliance, *sources: str
) -> Iterator[FilterSoftware]:
    """The body of a fixture: the program, and a filter that asks it. Skips where it cannot be."""
    with ExitStack() as stack:
        try:
            software = stack.enter_context(make())
        except NoPeer as reason:
            pytest.skip(f"no such program: {reason}")
        stack.enter_context(asked(site, software.KIND, software.options, *sources))
        yield software


@contextmanager
def asked(
    site: Appliance, kind: str, options: Mapping[str, object], *sources: str
) -> Iterator[None]:
    """A filter of that kind judges the content of all mail from other hosts, or from `sources`."""
    words = [word for item in options.items() for word in ("--option", "{}={}".format(*item))]
    wanted = ["--kind", kind, "--state", "enforce", "--sources", *(sources or ["esmtp"])]
    site.manage("filter", "set", "theirs", *wanted, *words)
    try:
        yield
    finally:
        site.manage("filter", "remove", "theirs")


@pytest.fixture
def rspamd(site: Appliance) -> Iterator[FilterSoftware]:
    yield from run_software(lambda: Rspamd(CACHE), site)


@pytest.fixture
def opendkim(site: Appliance) -> Iterator[FilterSoftware]:
    yield from run_software(lambda: OpenDkim(CACHE, DOMAIN), site, "esmtp", "submission")


@pytest.fixture
def dupfilter(site: Appliance) -> Iterator[FilterSoftware]:
    yield from run_software(lambda: DupFilter(CACHE), site)


def test_rspamd_refuses_and_marks(site: Appliance, rspamd: FilterSoftware) -> None:
    good, marked, refused = letter(), letter(Rspamd.MARKED), letter(Rspamd.REFUSED)
    for mail in (good, marked):
        site.send(STRANGER, [ANNA], mail.content)
    with pytest.raises(smtplib.SMTPResponseException) as refusal:
        site.send(STRANGER, [ANNA], refused.content)
    assert refusal.value.smtp_code == 554
    assert b"Gtube" in refusal.value.smtp_error
    assert b"\nX-Spam: Yes\n" in arrived(site.maildir(ANNA), marked)
    assert b"X-Spam" not in arrived(site.maildir(ANNA), good)
    assert not site.maildir(ANNA).messages(refused.token)


def test_opendkim_signs_and_verifies(site: Appliance, opendkim: FilterSoftware) -> None:
    """What it has signed on the way out comes back in: as it was, and altered."""
    mail = letter()
    with site.submission(ANNA, PASSWORD) as client:
        transfer(client, ANNA, [BERT], mail.content)
    stored = arrived(site.maildir(BERT), mail)
    assert b"\nDKIM-Signature: v=1; " in stored
    signed = stored[stored.index(b"DKIM-Signature") :].replace(b"\n", b"\r\n")

    site.send(STRANGER, [ANNA], signed)
    assert b"dkim=pass" in arrived(site.maildir(ANNA), mail)

    with pytest.raises(smtplib.SMTPResponseException) as refusal:
        site.send(STRANGER, [ANNA], signed.replace(b"Hello", b"Hullo"))
    assert refusal.value.smtp_code == 550
    assert b"bad DKIM signature" in refusal.value.smtp_error


def test_couriers_dupfilter(site: Appliance, dupfilter: DupFilter) -> None:
    """It reads our files under its own account, and refuses what it has seen too often."""
    text = b"".join(b"%s line of the same text\r\n" % word for word in b"a b c d e f g".split())
    letters = [letter(text) for _ in range(DupFilter.TOLERATED)]
    for mail in letters:
        site.send(STRANGER, [ANNA], mail.content)
    with pytest.raises(smtplib.SMTPResponseException) as refusal:
        site.send(STRANGER, [ANNA], letter(text).content)
    assert (refusal.value.smtp_code, b"Duplicate" in refusal.value.smtp_error) == (500, True)
    site.send(STRANGER, [ANNA], letter(b"Something else\r\n").content)
    for mail in letters:
        arrived(site.maildir(ANNA), mail)
    assert not list(dupfilter.files.iterdir())


def test_one_that_is_away_defers(site: Appliance) -> None:
    away = asked(site, "milter", {"socket": "unix:/nonexistent/milter"})
    with away, pytest.raises(smtplib.SMTPResponseException) as refusal:
        site.send(STRANGER, [ANNA], letter().content)
    assert refusal.value.smtp_code == 451
