"""The pages of the site filters."""

import pytest

from mta.models import SiteFilter

pytestmark = pytest.mark.django_db

ROW = {
    "name": "no-bye",
    "state": "log",
    "position": "10",
    "note": "",
    "stage": "content",
    "esmtp": "on",
    "on_trouble": "defer",
    "timeout": "10 s",
}
SIEVE = ROW | {"kind": "sieve", "text": 'require "reject";\r\nreject "no";'}
COMMAND = ROW | {
    "kind": "command",
    "option_argv": "/bin/true\r\n--quiet",
    "option_user": "nobody",
    "option_memory": "64",
    "option_cpu": "0",
    "option_crlf": "on",
}
ADD = "/console/mta/sitefilter/add/"


def test_the_kind_is_chosen_first(browser):
    text = browser.get(ADD).text
    assert "Which kind of filter?" in text
    assert "?kind=sieve" in text
    assert "?kind=command" in text
    assert "Which kind" in browser.get(f"{ADD}?kind=gone").text


def test_the_form_has_the_fields_of_the_kind(browser):
    sieve, command = browser.get(f"{ADD}?kind=sieve").text, browser.get(f"{ADD}?kind=command").text
    assert 'name="text"' in sieve
    assert "option_argv" not in sieve
    assert 'name="option_argv"' in command
    assert 'name="text"' not in command


def test_a_sieve_text_is_added_and_changed(browser):
    assert browser.post(ADD, SIEVE, follow=True).status_code == 200
    row = SiteFilter.objects.get()
    assert (row.kind, row.state, row.position, row.options) == ("sieve", "log", 10, {})
    assert row.timeout.total_seconds() == 10
    path = f"/console/mta/sitefilter/{row.pk}/change/"
    assert "reject &quot;no&quot;;" in browser.get(path).text
    browser.post(path, SIEVE | {"state": "enforce", "kind": "command", "text": "discard;"})
    row.refresh_from_db()
    assert (row.kind, row.state, row.text) == ("sieve", "enforce", "discard;")


def test_a_command_is_added_and_changed(browser):
    browser.post(ADD, COMMAND)
    row = SiteFilter.objects.get()
    assert row.options == {
        "argv": ["/bin/true", "--quiet"],
        "user": "nobody",
        "memory": 64,
        "cpu": 0,
        "crlf": True,
    }
    path = f"/console/mta/sitefilter/{row.pk}/change/"
    assert "/bin/true\n--quiet" in browser.get(path).text
    browser.post(path, {**COMMAND, "option_memory": "128", "option_crlf": ""})
    row.refresh_from_db()
    assert (row.options["memory"], row.options["crlf"]) == (128, False)


@pytest.mark.parametrize(
    ("form", "fields", "words"),
    [
        (SIEVE, {"text": "reject"}, "line 1, column"),
        (SIEVE, {"text": ""}, "there is no Sieve text"),
        (
            SIEVE,
            {"text": 'require "fileinto";\nfileinto "x";'},
            "line 2, column 1: &quot;fileinto&quot; is for mailboxes",
        ),
        (SIEVE, {"name": "No Name"}, "small letters, digits"),
        (SIEVE, {"esmtp": ""}, "about no mail at all"),
        (SIEVE, {"stage": "sender", "local": "on"}, "content only"),
        (SIEVE, {"timeout": "soon"}, "write a duration"),
        (SIEVE, {"timeout": "3 h"}, "less than or equal"),
        (COMMAND, {"option_argv": "true"}, "by its absolute path"),
        (COMMAND, {"option_user": "root"}, "may run as root"),
        (COMMAND, {"option_memory": "much"}, "whole number"),
    ],
)
def test_what_cannot_work_is_told(browser, form, fields, words):
    assert words in browser.post(ADD, form | fields).text
    assert not SiteFilter.objects.exists()


def test_the_list_is_in_the_order_in_which_they_are_asked(browser):
    for name, position in (("last", 3), ("first", 1), ("middle", 2)):
        SiteFilter.objects.create(name=name, kind="sieve", text="keep;", position=position)
    text = browser.get("/console/mta/sitefilter/").text
    assert text.index(">first<") < text.index(">middle<") < text.index(">last<")
    assert "Sieve text" in text
    assert "Log only" in text


def test_a_row_whose_kind_is_gone_can_be_switched_off(browser):
    row = SiteFilter.objects.create(name="old", kind="gone", state="enforce")
    assert "gone (not there)" in browser.get("/console/mta/sitefilter/").text
    path = f"/console/mta/sitefilter/{row.pk}/change/"
    gone = ROW | {"kind": "gone", "name": "old", "text": ""}
    assert "there is no kind of filter" in browser.post(path, gone).text
    browser.post(path, gone | {"state": "off"})
    row.refresh_from_db()
    assert row.state == "off"
