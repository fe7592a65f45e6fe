"""A transport of another package is found, claims its mail and delivers it, in a fresh process."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CARRIER = """
from pathlib import Path

from mta.protocol.reply import Reply
from mta.transports.base import Outcome, Result


class Carrier:
    name = "pigeon"
    priority = 5
    limit = 1
    batch = 10

    def claim(self, address, book):
        return "loft" if address.endswith("@pigeon.example") else None

    def deliver(self, request, context):
        for message in request.messages:
            content = context.content(message.id)
            for recipient in message.recipients:
                (context.mail_root / str(recipient.id)).write_bytes(content)
                yield Outcome(recipient.id, Result.SENT, Reply(250, "2.0.0", "it flies"))
"""

DELIVERY = """
import sys
from pathlib import Path

from mta.policy.routing import choose
from mta.transports import registry
from tests.transports.contract import Book, check_settings, check_transport, context

book = Book(nexthops={"x@example.org": "mx:example.org"})
assert choose("x@example.org", registry.by_priority(), book) == ("esmtp", "mx:example.org")
name, nexthop = choose("ann@pigeon.example", registry.by_priority(), book)
transport = registry.get(name)
check_settings(transport)
check_transport(transport, nexthop, context(Path(sys.argv[1])))
print(name, nexthop)
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with the package as an installer leaves it."""
    site = tmp_path / "site"
    info = site / "pigeon_post-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pigeon-post\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mta.transports]\npigeon = pigeon_post:Carrier\n")
    (site / "pigeon_post.py").write_text(CARRIER.lstrip())
    return site


def test_installed_package_delivers_without_a_change_here(site, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{site}:{ROOT}")
    loft = tmp_path / "loft"
    loft.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", DELIVERY, str(loft)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "pigeon loft\n"
    arrived = sorted(loft.iterdir())
    assert [each.name for each in arrived] == ["101", "102", "201"]
    assert all(b"Subject: contract" in each.read_bytes() for each in arrived)
