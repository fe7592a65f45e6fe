"""The page "Explain", and the buttons that fill it in."""

from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from mta.models import Alias, Domain, Event, Mailbox, Message, Refusal, Settings
from tests.queue.rows import make_message
from tests.support.smtp_session import disconnect_others

HOSTILE = '<script>alert("x")</script>'
PATH = "/console/explain/"


@pytest.fixture(autouse=True)
def town(transactional_db):
    here = Domain.objects.create(name="example.test")
    Mailbox.objects.create(domain=here, local_part="bob")
    Alias.objects.create(
        name="team@example.test", targets=["bob@example.test", "friend@elsewhere.example"]
    )
    # No DNS is asked about the sender here.
    row = Settings.load()
    row.checkdns = False
    row.save()
    yield
    disconnect_others()


@pytest.fixture
def ask(browser):
    """Ask the page a question by its URL and give its text."""

    def ask(**words: object) -> str:
        query = {"client": "203.0.113.9", "from": "a@b.example", "to": "bob@example.test"}
        return browser.get(PATH, {**query, **words}).text

    return ask


def test_the_empty_page_is_a_form(browser):
    page = browser.get(PATH).text
    assert 'name="client"' in page
    assert "Stage by stage" not in page


def test_an_accepted_session_is_told_to_its_end(ask):
    page = ask(to="team@example.test")
    for part in ("Accepted", "250 2.1.5", "stands for", "esmtp", "mx:elsewhere.example", "local"):
        assert part in page
    assert "denied_network" in page


def test_a_refused_session_says_which_rule(ask):
    page = ask(to="x@elsewhere.example")
    assert "Refused" in page
    assert "relaying denied" in page
    assert "nothing permits relaying" in page
    assert "Where it would go" not in page


def test_a_question_becomes_a_link(browser):
    form = {
        "client": " 203.0.113.9 ",
        "listener": "submission",
        "tls": "1",
        "from": "<>",
        "to": "bob@example.test\r\nx@y.example\r\n",
        "message": "",
    }
    response = browser.post(PATH, form)
    assert response.status_code == 302
    query = parse_qs(urlsplit(response.url).query)
    assert query["to"] == ["bob@example.test", "x@y.example"]
    assert (query["from"], query["tls"], query["listener"]) == (["<>"], ["1"], ["submission"])
    assert "530" in browser.get(response.url).text


def test_a_message_text_is_judged_and_not_put_into_the_link(browser):
    form = {
        "client": "203.0.113.9",
        "from": "a@b.example",
        "to": "bob@example.test",
        "message": "Received: x\r\n" * 60 + "Subject: x\r\n\r\nx\r\n",
    }
    page = browser.post(PATH, form)
    assert page.status_code == 200
    assert "mail loop" in page.text
    assert not Message.objects.exists()


def test_a_stored_message_is_judged(ask):
    content = b"Received: from us\r\n\tby us\r\nFrom: a@b.example\r\nSubject: x\r\n\r\nx\r\n"
    message = make_message(content=content)
    page = ask(queue_id=message.queue_id)
    assert "0 Received headers" in page
    message.content.delete()
    assert "not stored" in ask(queue_id=message.queue_id)
    assert "errors" not in ask(queue_id="nonsense")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ({"client": "nowhere"}, "not an IP address"),
        ({"from": ""}, "null sender"),
        ({"queue_id": "zz"}, "queue id"),
        ({"to": ["a@b.example"] * 101}, "At most 100"),
    ],
)
def test_a_mistake_is_a_sentence(ask, words, complaint):
    page = ask(**words)
    assert complaint in page
    assert "Stage by stage" not in page


@pytest.mark.parametrize("text", ["\0", HOSTILE, "x" * 5000, "\r\nRSET", "\u202e"])
def test_rubbish_is_answered_and_escaped(browser, text):
    for name in ("client", "helo", "listener", "auth", "from", "to", "queue_id", "tls"):
        query = {"client": "203.0.113.9", "from": "a@b.example", "to": "bob@example.test"}
        response = browser.get(PATH, {**query, name: text})
        assert response.status_code == 200
        assert "<script>alert" not in response.text


def test_a_refusal_fills_the_page_in(browser, refusal):
    session = {"client_ip": "203.0.113.9", "helo": "spam.example", "listener": "smtp", "tls": ""}
    Refusal.objects.update(session=session)
    page = browser.get(f"/console/refusals/{refusal.pk}/")
    (link,) = [part for part in page.text.split('"') if part.startswith(f"{PATH}?")]
    answer = browser.get(link.replace("&amp;", "&")).text
    assert "no such user here" in answer
    assert "spam.example" in answer


def test_a_message_fills_the_page_in(browser):
    message = make_message("bob@example.test", reverse_path="")
    decisions = [
        {"stage": "rcpt", "subject": "team@example.test", "verdict": "accept", "rule": "alias"},
        {"stage": "rcpt", "subject": "no@example.test", "verdict": "refuse", "rule": "unknown"},
    ]
    session = {"client_ip": "203.0.113.9", "helo": "h.example", "listener": "smtp", "tls": "x"}
    data = {"session": session, "decisions": decisions}
    Event.objects.create(at=timezone.now(), message=message, kind="accepted", data=data)
    page = browser.get(f"/console/messages/{message.queue_id}/").text
    (link,) = [part for part in page.split('"') if part.startswith(f"{PATH}?")]
    query = parse_qs(urlsplit(link.replace("&amp;", "&")).query)
    assert query["to"] == ["team@example.test"]
    assert (query["from"], query["tls"]) == (["<>"], ["1"])
    assert query["queue_id"] == [message.queue_id]


def test_what_was_made_here_is_not_explained(browser):
    message = make_message("bob@example.test")
    data = {"session": {"source": "local", "auth_user": ""}}
    Event.objects.create(at=timezone.now(), message=message, kind="accepted", data=data)
    assert f"{PATH}?" not in browser.get(f"/console/messages/{message.queue_id}/").text


def test_strangers_learn_nothing(client):
    assert client.get(PATH, {"client": "203.0.113.9"}).status_code == 302
