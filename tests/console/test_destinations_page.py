"""The page of destinations and its buttons, and the command that does the same."""

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from mta.models import Destination
from tests.queue.rows import make_message

pytestmark = pytest.mark.django_db

PAGE = "/console/destinations/"
HOP = "mx:x.example"


def press(browser, verb: str, nexthop: str = HOP, transport: str = "esmtp"):
    data = {"verb": verb, "nexthop": nexthop, "transport": transport}
    return browser.post(f"{PAGE}apply/", data)


def test_a_destination_is_paused_and_resumed(browser):
    make_message("bob@x.example")
    assert HOP in browser.get(PAGE).text
    assert press(browser, "pause").status_code == 302
    assert Destination.objects.get().state == "paused"
    assert "Resume" in browser.get(f"{PAGE}?state=paused").text
    press(browser, "resume")
    assert Destination.objects.get().state == "ok"


def test_what_makes_no_sense_is_refused(browser):
    assert press(browser, "explode").status_code == 400
    assert press(browser, "pause", nexthop="").status_code == 400
    assert press(browser, "pause", transport="local").status_code == 400
    assert not Destination.objects.exists()


def test_a_reply_is_shown_as_text(browser):
    Destination.objects.create(
        transport="esmtp", nexthop=HOP, last_reply="451 <script>alert(1)</script>"
    )
    assert "<script>alert" not in browser.get(PAGE).text


def test_the_command_pauses_and_shows(capsys):
    call_command("destination", "pause", "x.example")
    call_command("destination", "show", "x.example", "--json")
    call_command("destination", "list")
    call_command("destination", "resume", "x.example")
    assert "paused" in capsys.readouterr().out
    with pytest.raises(CommandError, match="not paused"):
        call_command("destination", "resume", "x.example")
    with pytest.raises(CommandError, match="delivers here"):
        call_command("destination", "pause", "mailboxes", "--transport", "local")
    with pytest.raises(CommandError, match="nothing waits"):
        call_command("destination", "show", "nobody.example")


def test_the_command_sets_a_limit(capsys):
    call_command("limit", "set", "destination", HOP, "--per-minute", "60")
    call_command("limit", "set", "mailbox", "--simultaneous", "2")
    call_command("limit", "list")
    out = capsys.readouterr().out
    assert HOP in out
    assert "local" in out
    call_command("limit", "remove", "destination", HOP)
    with pytest.raises(CommandError, match="no limit"):
        call_command("limit", "remove", "destination", HOP)
