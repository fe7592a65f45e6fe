"""/healthz, /metrics and the home page: is everything alive, and what is going on."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test import override_settings
from django.utils import timezone

from mta.models import Heartbeat, PolicyState, Route, Settings, Statistic, Tally
from tests.queue.rows import add_recipient, make_message

pytestmark = pytest.mark.django_db

PARTS = ("ingress", "managesieve", "submit", "worker-local", "worker-remote", "beat", "rq")


def all_alive():
    now = timezone.now()
    for number, part in enumerate(PARTS):
        Heartbeat.objects.create(part=part, host="here", pid=number, started_at=now, at=now)


def test_health_is_good_once_every_part_is_up(client):
    all_alive()
    response = client.get("/healthz")
    assert response.status_code == 200
    body = response.json()
    assert body["status"] == "ok"
    assert set(body["parts"]) == {"web", "database", "broker", "storage", *PARTS}


@pytest.mark.parametrize("part", PARTS)
def test_health_names_a_part_that_fell_silent(client, part):
    all_alive()
    Heartbeat.objects.filter(part=part).update(at=timezone.now() - timedelta(minutes=1))
    response = client.get("/healthz")
    assert (response.status_code, response.json()["down"]) == (503, [part])


def test_a_restarted_process_counts_though_its_old_row_is_stale(client):
    all_alive()
    before = timezone.now() - timedelta(minutes=9)
    Heartbeat.objects.create(part="ingress", host="here", pid=99, started_at=before, at=before)
    assert client.get("/healthz").status_code == 200


def test_health_without_a_broker_names_it(client):
    all_alive()
    nowhere = {"default": {"URL": "unix:///nowhere/valkey.sock?db=1"}}
    with override_settings(RQ_QUEUES=nowhere):
        response = client.get("/healthz")
    assert (response.status_code, response.json()["down"]) == (503, ["broker"])


def test_health_without_a_database_is_an_answer_and_not_a_traceback(client):
    def refuse(*args):
        raise OperationalError("the database is away")

    with connection.execute_wrapper(refuse):
        response = client.get("/healthz")
    assert response.status_code == 503
    assert response.json()["down"] == ["database", *PARTS]


def test_metrics_are_for_this_machine_and_for_the_signed_in(client, browser):
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="192.0.2.1").status_code == 403
    assert client.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 403
    assert browser.get("/metrics", REMOTE_ADDR="192.0.2.1").status_code == 200


def test_metrics_count_what_is_rolled_up_and_what_is_not(client):
    now = timezone.now()
    Statistic.objects.create(minute=now - timedelta(hours=1), kind="delivered", count=40)
    Tally.objects.create(at=now, kind="delivered", count=2)
    make_message("bob@slow.test", created_at=now - timedelta(hours=1))
    Heartbeat.objects.create(part="beat", host="here", pid=1, started_at=now, at=now)
    lines = client.get("/metrics").text.splitlines()
    assert 'courierweb_events_total{kind="delivered"} 42.0' in lines
    assert 'courierweb_queue_recipients{state="queued"} 1.0' in lines
    assert 'courierweb_part_up{part="beat"} 1.0' in lines
    assert 'courierweb_part_up{part="ingress"} 0.0' in lines
    assert f"courierweb_policy_version {float(PolicyState.objects.get().version)}" in lines
    (oldest,) = (line for line in lines if line.startswith("courierweb_queue_oldest_seconds"))
    assert float(oldest.split()[1]) >= 3600


def test_the_home_page_of_a_new_installation_says_what_to_do(browser):
    page = browser.get("/console/").text
    assert "No domain yet" in page
    assert "ingress is down: never seen" in page
    assert "No mail in the last 24 hours" in page
    assert "Nothing was refused lately" in page


def test_the_home_page_counts_and_draws(browser, refusal):
    now = timezone.now()
    Statistic.objects.create(minute=now - timedelta(hours=2), kind="delivered", count=1234)
    Statistic.objects.create(minute=now - timedelta(hours=30), kind="delivered", count=9999)
    Tally.objects.create(at=now, kind="refused", count=5)
    Route.objects.create(domain="partner.example", relay="[192.0.2.1]")
    page = browser.get("/console/").text
    assert "1,234" in page
    assert "9,999" not in page
    assert 'class="cw-fill-delivered"' in page
    assert "1 change of the policy by" in page
    assert f"/console/refusals/{refusal.pk}/" in page


def test_the_home_page_points_at_a_destination_that_fails(browser):
    message = make_message(created_at=timezone.now() - timedelta(hours=2))
    message.recipient_set.all().delete()
    add_recipient(message, "bob@slow.test", attempts=3, last_reply="451 4.7.1 try later")
    page = browser.get("/console/").text
    assert "slow.test has kept 1 waiting for 2 h" in page
    assert "destination=mx%3Aslow.test" in page


def test_every_number_of_the_home_page_leads_to_a_list(browser):
    make_message("bob@slow.test")
    for tile in browser.get("/console/").context["tiles"]:
        assert browser.get(tile.link).status_code == 200


def test_too_little_room_is_no_good_health(client, browser):
    all_alive()
    Settings.load()
    Settings.objects.update(minfree=1 << 60)
    response = client.get("/healthz")
    assert (response.status_code, response.json()["down"]) == (503, ["storage"])
    assert "no mail is taken or delivered" in browser.get("/console/").text


def test_a_read_only_database_is_no_good_health(client):
    all_alive()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL transaction_read_only = on")
    response = client.get("/healthz")
    assert response.json()["parts"]["database"]["detail"].startswith("is read-only")
