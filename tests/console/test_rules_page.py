"""The page "Rules", and the list of refusals that its numbers lead to."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from courierweb.console.rules import optional_rules
from mta.models import PolicyChange, Refusal, RuleState
from mta.policy.decision import RULES
from tests.queue.rows import make_message
from tests.queue.test_search import make_refusal

pytestmark = pytest.mark.django_db

PATH = "/console/rules/"
OPTIONAL = "bad_sender"


def select(page: str, name: str) -> str:
    """The choice that is shown for a rule."""
    (found,) = re.findall(rf'<select name="{name}".*?</select>', page, re.DOTALL)
    return re.search(r'value="(\w+)" selected', found)[1]


def test_every_rule_is_shown_with_what_it_is_for(browser):
    page = browser.get(PATH).text
    for rules in RULES.values():
        for rule in rules:
            assert f"<code>{rule.__name__}</code>" in page
            assert rule.__doc__, rule.__name__
    assert "The end of the list: a foreign domain" in page


def test_an_optional_rule_is_switched_and_the_others_have_no_switch(browser):
    page = browser.get(PATH).text
    assert select(page, OPTIONAL) == "enforce"
    assert 'name="denied"' not in page
    answer = browser.post(PATH, {OPTIONAL: "log", "denied": "off"}, follow=True).text
    assert f"{OPTIONAL} is log only" in answer
    assert select(answer, OPTIONAL) == "log"
    row = RuleState.objects.get()
    assert (row.rule, row.state) == (OPTIONAL, "log")
    change = PolicyChange.objects.get()
    assert change.actor == "root"
    assert OPTIONAL in browser.get("/console/mta/policychange/").text


def test_what_is_not_changed_is_not_stored(browser):
    order = {name: str(rule.default) for name, rule in optional_rules().items()}
    assert "Nothing was changed" in browser.post(PATH, order, follow=True).text
    assert "Nothing was changed" in browser.post(PATH, {OPTIONAL: "rubbish"}, follow=True).text
    assert not RuleState.objects.exists()


def test_who_may_only_look_changes_nothing(client, django_user_model):
    user = django_user_model.objects.create_user("looker", is_staff=True)
    client.force_login(user)
    assert client.get(PATH).status_code == 403
    assert client.post(PATH, {OPTIONAL: "off"}).status_code == 403
    assert not RuleState.objects.exists()


def test_hits_are_counted_and_lead_to_their_list(browser):
    now = timezone.now()
    for hours, enforced in ((1, True), (30, True), (1, False), (24 * 9, True)):
        make_refusal(
            rule="denied", stage="rcpt", at=now - timedelta(hours=hours), enforced=enforced
        )
    page = browser.get(PATH).text
    for words in ("1 refused", "2 refused", "1 logged"):
        assert words in page
    links = re.findall(r'href="(/console/refusals/\?rule=denied[^"]*)">(\d+) (\w+)<', page)
    assert len(links) == 4
    for link, count, _ in links:
        listed = browser.get(link.replace("&amp;", "&")).text
        assert listed.count('data-label="Reply"') == int(count), link


def test_the_list_is_narrowed_by_rule_client_and_kind(browser):
    make_refusal(rule="hops", client_ip="192.0.2.1", recipient="one@example.test")
    make_refusal(rule="hops", client_ip="192.0.2.2", recipient="two@example.test", enforced=False)
    whole = browser.get("/console/refusals/").text
    assert "only logged</span>" in whole
    for query in ("client=192.0.2.2", "mode=logged", "rule=hops&mode=logged&within=1+h"):
        page = browser.get(f"/console/refusals/?{query}").text
        assert "two@example.test" in page
        assert "one@example.test" not in page
    assert "two@" not in browser.get("/console/refusals/?mode=enforced").text
    assert "write a duration" in browser.get("/console/refusals/?within=soon").text


def test_a_refusal_leads_to_the_message_that_others_took(browser):
    message = make_message("bob@example.test")
    make_refusal(rule="mailbox_size", stage="verdict", message_id=message.pk)
    page = browser.get(f"/console/refusals/{Refusal.objects.get().pk}/").text
    assert f"/console/messages/{message.queue_id}/" in page


def test_a_refusal_that_was_only_logged_says_so(browser):
    make_refusal(rule="hops", enforced=False)
    page = browser.get(f"/console/refusals/{Refusal.objects.get().pk}/").text
    assert "The rule only logs" in page
