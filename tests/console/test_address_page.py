"""The page "Address resolver"."""

import pytest

from mta import runtime
from mta.models import Alias, Domain, Mailbox

HOSTILE = '"<script>alert(1)</script>"@example.test'
PATH = "/console/address/"


@pytest.fixture(autouse=True)
def town(db):
    runtime.directory.cache_clear()
    here = Domain.objects.create(name="example.test")
    Mailbox.objects.create(domain=here, local_part="bob")
    Alias.objects.create(
        name="team@example.test", targets=["bob@example.test", "x@elsewhere.example"]
    )
    yield
    runtime.directory.cache_clear()


def test_the_empty_page_is_a_form(browser):
    page = browser.get(PATH).text
    assert 'name="q"' in page
    assert "Where it ends" not in page


def test_each_step_is_shown(browser):
    page = browser.get(PATH, {"q": "team+now@example.test"}).text
    for part in ("a list", "stands for", "with an extension", "mx:elsewhere.example", "local"):
        assert part in page


def test_nobody_and_no_address(browser):
    page = browser.get(PATH, {"q": "nobody@example.test"}).text
    assert "nobody here: refused" in page
    assert "Where it ends" not in page
    page = browser.get(PATH, {"q": "a b@example.test"})
    assert page.status_code == 200
    assert 'role="alert"' in page.text


@pytest.mark.parametrize("typed", [HOSTILE, "<script>alert(1)</script>", "a\0b", "x" * 5000])
def test_what_is_typed_is_never_markup(browser, typed):
    page = browser.get(PATH, {"q": typed})
    assert page.status_code == 200
    assert "<script>alert" not in page.text


def test_strangers_and_staff_without_permission_see_nothing(client, django_user_model):
    assert client.get(PATH).status_code == 302
    clerk = django_user_model.objects.create_user("clerk", password="x", is_staff=True)
    client.force_login(clerk)
    assert client.get(PATH).status_code == 403


def test_it_only_reads(browser):
    assert browser.post(PATH, {"q": "bob@example.test"}).status_code == 405
