"""Every variable is checked at the start, and a bad value is refused by its name."""

import json
from pathlib import Path

import pytest

from courierweb.environment import BadEnvironment, Environment, load


def read(home: Path, **variables: str) -> Environment:
    return load({"COURIERWEB_HOME": str(home), **variables})


def test_defaults_are_those_of_the_readme(tmp_path: Path) -> None:
    environment = read(tmp_path)
    assert (environment.http_port, environment.smtp_port) == (8025, 2525)
    assert (environment.submission_port, environment.smtps_port) == (2587, 2465)
    assert "." in environment.hostname
    assert environment.mail_root == tmp_path / "mail"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COURIERWEB_HTTP_PORT", "http"),
        ("COURIERWEB_SMTP_PORT", "0"),
        ("COURIERWEB_SMTP_PORT", "65536"),
        ("COURIERWEB_SUBMISSION_PORT", "-25"),
        ("COURIERWEB_SMTPS_PORT", "24 65"),
        ("COURIERWEB_HOSTNAME", "mail"),
        ("COURIERWEB_HOSTNAME", "mail..example.com"),
        ("COURIERWEB_HOSTNAME", "-mail.example.com"),
        ("COURIERWEB_HOSTNAME", "192.0.2.1"),
        ("COURIERWEB_HOSTNAME", "mail.example.com\n"),
        ("COURIERWEB_DNS", "127.0.0.1"),
        ("COURIERWEB_DNS", ":53"),
        ("COURIERWEB_DNS", "127.0.0.1:dns"),
        ("COURIERWEB_DNS", "127.0.0.999:53"),
        ("COURIERWEB_DNS", "::1:53"),
        ("COURIERWEB_INGRESS_PROCESSES", "0"),
        ("COURIERWEB_INGRESS_PROCESSES", "many"),
        ("DATABASE_URL", "mysql://localhost/mail"),
        ("DATABASE_URL", "localhost:5432/mail"),
        ("DATABASE_URL", "postgresql://localhost:port/mail"),
        ("CELERY_BROKER_URL", "amqp://localhost"),
        ("CELERY_BROKER_URL", "redis://[localhost:6379"),
        ("CELERY_BROKER_URL", "redis://localhost:6379/mail"),
        ("CELERY_BROKER_URL", "redis+socket:///run/valkey?virtual_host=mail"),
    ],
)
def test_a_mistyped_value_is_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(BadEnvironment, match=name):
        read(tmp_path, **{name: value})


@pytest.mark.parametrize("value", ["127.0.0.1:5353", "[::1]:53", "dns1:53", "ns.example.com:53"])
def test_dns_takes_an_address_or_a_name_with_a_port(tmp_path: Path, value: str) -> None:
    assert read(tmp_path, COURIERWEB_DNS=value).dns == value


def test_two_doors_cannot_share_a_port(tmp_path: Path) -> None:
    with pytest.raises(BadEnvironment, match="COURIERWEB_SMTPS_PORT and COURIERWEB_SMTP_PORT"):
        read(tmp_path, COURIERWEB_SMTP_PORT="2465")


def test_a_password_in_a_bad_url_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(BadEnvironment) as caught:
        read(tmp_path, DATABASE_URL="mysql://mail:verysecret@localhost/mail")
    assert "verysecret" not in str(caught.value)


def test_a_fresh_shell_finds_what_the_appliance_decided(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    decided = read(tmp_path, COURIERWEB_SMTP_PORT="4025", DATABASE_URL="postgresql://u@h/d")
    decided.state_file.write_text(json.dumps(decided.variables()))

    assert read(tmp_path) == decided
    assert read(tmp_path, COURIERWEB_SMTP_PORT="5025").smtp_port == 5025, "a set variable wins"
    fresh = load({"COURIERWEB_HOME": str(tmp_path)}, remembered=False)
    assert fresh.smtp_port == 2525, "deploy/run depends on its own environment only"


def test_a_broken_state_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "environment.json").write_text('{"COURIERWEB_SM')
    with pytest.raises(BadEnvironment, match="environment.json"):
        read(tmp_path)
