"""Targets of routes: what another transport than esmtp takes."""

import pytest

from mta.protocol.route_target import is_target, parse_target, split_target


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("lmtp:dovecot.example", "lmtp:dovecot.example:24"),
        ("lmtp:[127.0.0.1]:2400", "lmtp:[127.0.0.1]:2400"),
        ("lmtp:127.0.0.1", "lmtp:[127.0.0.1]:24"),
        ("lmtp:[::1]:24", "lmtp:[::1]:24"),
        ("lmtp:/run/dovecot//lmtp", "lmtp:/run/dovecot/lmtp"),
        (" pipe:ticket-system ", "pipe:ticket-system"),
        ("http:crm", "http:crm"),
        ("uucp:apple", "uucp:apple"),
        ("uucp:apple!pear", "uucp:apple!pear"),
    ],
)
def test_normal_form(text, normal):
    assert parse_target(text) == normal
    assert parse_target(normal) == normal
    assert is_target(normal)
    assert ":".join(split_target(normal)) == normal


@pytest.mark.parametrize(
    "text",
    [
        "lmtp:",
        "lmtp:host:0",
        "lmtp:host:99999",
        "lmtp:a b",
        "lmtp:/run/../etc/passwd",
        "lmtp:/run/a\x07b",
        f"lmtp:/{'x' * 107}",
        "pipe:",
        "pipe:Upper",
        "pipe:a/b",
        "pipe:-x",
        "http:https://example.com/",
        "uucp:",
        "uucp:-x",
        "uucp:a!",
        "uucp:a;b",
        "smtp:host",
    ],
)
def test_garbage_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        parse_target(text)


@pytest.mark.parametrize("text", ["", "discard", "lmtp", "relay.example:25", "[::1]:25"])
def test_relays_are_no_targets(text):
    assert not is_target(text)
