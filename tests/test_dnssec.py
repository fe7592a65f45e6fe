"""Whose word on DNSSEC counts."""

import pytest

from mta import runtime
from mta.dnssec import is_believed
from mta.models import Settings


@pytest.mark.parametrize(
    ("trust", "nameserver", "believed"),
    [
        ("loopback", "127.0.0.53:53", True),
        ("loopback", "[::1]:5353", True),
        ("loopback", "192.0.2.53:53", False),
        ("always", "192.0.2.53:53", True),
        ("off", "127.0.0.1:53", False),
    ],
)
def test_only_loopback_is_safe_by_itself(trust: str, nameserver: str, believed: bool) -> None:
    assert is_believed(trust, nameserver) is believed


@pytest.mark.django_db
@pytest.mark.parametrize(("trust", "believed"), [("always", True), ("off", False)])
def test_deliveries_go_by_the_settings(
    trust: str, believed: bool, request: pytest.FixtureRequest
) -> None:
    runtime.directory.cache_clear()
    request.addfinalizer(runtime.directory.cache_clear)
    row = Settings.load()
    row.dnssec = trust
    row.mtasts = False
    row.save()
    runtime.directory().refresh()
    context = runtime.delivery_context(lambda message_id: b"", lambda ids: None)
    assert context.dane is believed
    assert context.sts("example.org").policy is None
