"""One appliance for all end-to-end tests, and its logs beside a failure."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.appliance import Appliance
from tests.support.dns import DnsServer, Trouble

ZONE = {
    # Where strangers write from: a report could reach them.
    "elsewhere.example": {"MX": ["10 mx.elsewhere.example"]},
    "mx.elsewhere.example": {"A": ["192.0.2.1"]},
    "null-mx.example": {"MX": ["0 ."]},
    "broken.example": Trouble.SERVFAIL,
}


@pytest.fixture(scope="session")
def appliance() -> Iterator[Appliance]:
    with DnsServer(ZONE) as dns, Appliance(dns.address) as appliance:
        yield appliance


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Any:
    report = yield
    running = getattr(item, "funcargs", {}).get("appliance")
    if report.failed and isinstance(running, Appliance):
        report.sections.append(("Logs of the appliance", running.log_tail()))
    return report
