"""The bundled kinds of site filters in the console's form: their defaults work, and what does not
is told at its field."""

import pytest

from mta.filters.registry import kinds
from mta.models import SiteFilter
from tests.console.test_site_filter_pages import ADD, ROW

pytestmark = pytest.mark.django_db

BUNDLED = {
    "duplicate_slew": "content",
    "sender_rate": "content",
    "sender_verification": "sender",
    "attachments": "content",
    "headers": "content",
}


def filled(kind, **others):
    """The form with the values that it comes with."""
    form = ROW | {"kind": kind, "stage": BUNDLED[kind], "timeout": "30 s"}
    for option in kinds[kind].options:
        if option.type is list:
            form[f"option_{option.name}"] = "\r\n".join(option.default)
        elif option.type is bool:
            form[f"option_{option.name}"] = "on" if option.default else ""
        else:
            form[f"option_{option.name}"] = str(option.default)
    return form | others


@pytest.mark.parametrize("kind", BUNDLED)
def test_a_row_with_the_defaults_is_saved_and_shown_again(browser, kind):
    text = browser.get(f"{ADD}?kind={kind}").text
    for option in kinds[kind].options:
        assert f'name="option_{option.name}"' in text
    browser.post(ADD, filled(kind))
    row = SiteFilter.objects.get()
    assert row.options == {option.name: option.default for option in kinds[kind].options}
    assert browser.get(f"/console/mta/sitefilter/{row.pk}/change/").status_code == 200


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("duplicate_slew", {"option_duplevel": "1"}, "duplevel: at least 2 is expected"),
        ("duplicate_slew", {"option_spared": "two words"}, "is neither an address nor"),
        ("sender_rate", {"option_action": "delay"}, "action: one of hold, defer, refuse"),
        ("sender_rate", {"option_exceptions": "ann many"}, "a number of recipients"),
        ("sender_verification", {"timeout": "20 s"}, "must be longer than this"),
        ("sender_verification", {"stage": "content"}, "is asked at: recipient, sender"),
        ("attachments", {"option_max_count": "-1"}, "max_count: at least 0 is expected"),
        ("headers", {"text": "Subject is x -> bounce"}, "line 1: &#x27;bounce&#x27; is no action"),
    ],
)
def test_what_cannot_work_is_told(browser, kind, fields, words):
    assert words in browser.post(ADD, filled(kind, **fields)).text
    assert not SiteFilter.objects.exists()
