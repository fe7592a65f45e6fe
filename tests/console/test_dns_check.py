"""The DNS check of a domain: a job that a person starts and whose page shows the result."""

import re
from dataclasses import replace

import django_rq
import pytest
from rq import SimpleWorker

from mta.models import Domain
from tests.support.dns import DnsServer, Trouble

pytestmark = pytest.mark.django_db

GOOD_ZONE = {
    "example.test": {"MX": ["10 mail.example.test"], "TXT": ["v=spf1 mx -all"]},
    "_dmarc.example.test": {"TXT": ["v=DMARC1; p=none"]},
}


@pytest.fixture(autouse=True)
def own_queue(settings):
    """A queue that no running worker looks at."""
    url = re.sub(r"db=\d+", "db=15", settings.RQ_QUEUES["default"]["URL"])
    settings.RQ_QUEUES = {"default": {"URL": url, "DEFAULT_TIMEOUT": 60}}


@pytest.fixture
def zone(settings):
    with DnsServer(GOOD_ZONE) as server:
        settings.ENVIRONMENT = replace(
            settings.ENVIRONMENT, dns=server.address, hostname="mail.example.test"
        )
        yield server.zone


def run_check(browser):
    """Starts the check, lets a worker do it, and gives the page before and after."""
    domain = Domain.objects.create(name="example.test")
    started = browser.post(f"/console/domains/{domain.pk}/check-dns/")
    before = browser.get(started.url).text
    queue = django_rq.get_queue("default")
    SimpleWorker([queue], connection=queue.connection).work(burst=True, logging_level="WARNING")
    return before, browser.get(started.url).text, started.url


def test_a_domain_in_good_order(browser, zone):
    before, after, _ = run_check(browser)
    assert "waiting for a worker" in before
    assert "Looking up MX of example.test" in after
    assert "10 mail.example.test." in after
    assert after.count(">good<") == 3


def test_what_is_missing_is_named_with_the_record_to_publish(browser, zone):
    zone.clear()
    _, page, _ = run_check(browser)
    assert "example.test. MX 10 mail.example.test." in page
    assert "v=spf1 mx -all" in page


def test_mail_that_goes_elsewhere_is_a_warning(browser, zone):
    zone["example.test"] = {"MX": ["10 mx.other.test"], "TXT": ["v=spf1 -all", "v=spf1 +all"]}
    _, page, _ = run_check(browser)
    assert "none of them is this server" in page
    assert "one SPF record only" in page


def test_a_broken_dns_is_a_finding_and_not_a_crash(browser, zone):
    zone["example.test"] = Trouble.SERVFAIL
    _, page, _ = run_check(browser)
    assert "gave no usable answer" in page


def test_nobody_sees_the_job_of_another(browser, client, django_user_model, zone):
    _, _, url = run_check(browser)
    client.force_login(django_user_model.objects.create_superuser("other"))
    assert client.get(url).status_code == 404


def test_without_a_broker_the_person_is_told(browser, settings):
    domain = Domain.objects.create(name="example.test")
    settings.RQ_QUEUES = {"default": {"URL": "unix:///nowhere/valkey.sock?db=1"}}
    page = browser.post(f"/console/domains/{domain.pk}/check-dns/", follow=True).text
    assert "broker does not answer" in page
