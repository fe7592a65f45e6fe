"""Addresses of webhooks, which of them may be used, and the signature."""

import hmac

import pytest

from mta.protocol.webhook import (
    Endpoint,
    ForbiddenAddress,
    Webhook,
    check_address,
    idempotency_key,
    parse_url,
    signature,
)


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        (
            "https://Hooks.example.com/in?x=1",
            Endpoint(True, "hooks.example.com", 443, "/in?x=1", "hooks.example.com"),
        ),
        ("http://[::1]:8080", Endpoint(False, "::1", 8080, "/", "[::1]:8080")),
        ("https://192.0.2.1:443/", Endpoint(True, "192.0.2.1", 443, "/", "192.0.2.1")),
    ],
)
def test_addresses(url, endpoint):
    assert parse_url(url) == endpoint


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.com/", "begins with https"),
        ("example.com/in", "begins with https"),
        ("https:///in", "host"),
        ("https://user:secret@example.com/", "password"),
        ("https://example.com/#part", "fragment"),
        ("https://example.com/a b", "blanks"),
        ("https://example.com/a\r\nX: y", "blanks"),
        ("https://example.com/\u00e9", "ASCII"),
        ("https://example.com:0/", "port"),
        ("https://example.com:99999/", "ort"),
        ("https://2130706433/", "brackets"),
        ("https://" + "x" * 500, "500"),
    ],
)
def test_what_is_no_address(url, why):
    with pytest.raises(ValueError, match=why):
        parse_url(url)


PUBLIC = ["8.8.8.8", "2606:4700::1111"]
PRIVATE = ["127.0.0.1", "::1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "fd00::1", "100.64.0.1"]
METADATA = ["169.254.169.254", "fe80::1", "fd00:ec2::254"]
DISGUISED = ["::ffff:127.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "240.0.0.1"]


@pytest.mark.parametrize("found", [*PRIVATE, *METADATA, *DISGUISED])
def test_our_own_network_is_for_those_who_may(found):
    with pytest.raises(ForbiddenAddress, match="private"):
        check_address(Webhook("w", "https://hooks.example.com/", "s"), found)
    check_address(Webhook("w", "http://hooks.example.com/", "s", private=True), found)


@pytest.mark.parametrize("found", PUBLIC)
def test_the_internet_only_with_tls(found):
    check_address(Webhook("w", "https://hooks.example.com/", "s"), found)
    with pytest.raises(ForbiddenAddress, match="without TLS"):
        check_address(Webhook("w", "http://hooks.example.com/", "s", private=True), found)


@pytest.mark.parametrize("found", ["0.0.0.0", "::", "224.0.0.1", "ff02::1"])
def test_nobodys_addresses(found):
    with pytest.raises(ForbiddenAddress):
        check_address(Webhook("w", "https://hooks.example.com/", "s", private=True), found)


def test_the_signature_is_that_of_the_documentation():
    expected = hmac.new(b"secret", b"1700000000.body", "sha256").hexdigest()
    assert signature("secret", b"body", 1_700_000_000) == f"t=1700000000,v1={expected}"


def test_the_key_is_that_of_the_recipients():
    key = idempotency_key("Q", [3, 1, 2])
    assert key == idempotency_key("Q", [1, 2, 3])
    assert len({key, idempotency_key("Q", [1, 2]), idempotency_key("R", [1, 2, 3])}) == 3
