"""The page "TLS"."""

import pytest

from mta.protocol.tls_result import PolicyType, TlsResult, TlsWord
from mta.queue import tls_tallies

pytestmark = pytest.mark.django_db

PATH = "/console/tls/"


@pytest.fixture
def results():
    tls_tallies.add(
        [
            TlsResult("good.example", "mx.good.example", PolicyType.TLSA, TlsWord.SUCCESS),
            TlsResult(
                "bad.example",
                "mx.bad.example",
                PolicyType.STS,
                TlsWord.HOST_MISMATCH,
                "<b>untrusted</b> certificate",
            ),
        ]
    )


def test_it_shows_who_is_secured_by_what_and_what_failed(browser, results):
    text = browser.get(PATH).text
    assert "good.example" in text
    assert "DANE" in text
    assert "certificate-host-mismatch" in text
    assert "&lt;b&gt;untrusted&lt;/b&gt; certificate" in text
    assert "<b>untrusted" not in text


def test_failures_only_or_one_domain(browser, results):
    text = browser.get(PATH, {"show": "failed"}).text
    assert "good.example" not in text
    text = browser.get(PATH, {"domain": "Good.example"}).text
    assert "mx.good.example" in text
    assert "bad.example" not in text


def test_nothing_to_show_and_nothing_that_can_be_meant(browser):
    assert "No TLS with other hosts yet" in browser.get(PATH).text
    text = browser.get(PATH, {"within": "soon", "show": "x", "domain": "\0'"}).text
    assert "Within: " in text


def test_it_needs_the_permission(client, django_user_model):
    client.force_login(django_user_model.objects.create_user("looker", is_staff=True))
    assert client.get(PATH).status_code == 403
