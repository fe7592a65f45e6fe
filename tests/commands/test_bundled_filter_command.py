"""`filter set` and `filter test` with bundled kinds: trying a message counts nothing."""

import io

import pytest
from django.core.management import call_command

from mta import runtime
from mta.models import Domain, Settings, SiteFilter, SlewSighting
from tests.support.smtp_session import disconnect_others

pytestmark = pytest.mark.django_db(transaction=True)

LETTER = "From: a@b.test\r\nSubject: x\r\n\r\nDear friend\r\n"


@pytest.fixture
def run(request):
    """Runs the command; gives what it prints."""
    runtime.directory.cache_clear()
    request.addfinalizer(disconnect_others)
    request.addfinalizer(runtime.directory.cache_clear)
    Settings.load()
    Domain.objects.create(name="example.test")

    def run(*words):
        out = io.StringIO()
        call_command("filter", *words, stdout=out)
        return out.getvalue()

    return run


def test_a_row_is_set_with_its_options_and_a_message_is_tried(run, tmp_path):
    letter = tmp_path / "letter.eml"
    letter.write_bytes(LETTER.encode())
    run(
        *("set", "dups", "--kind", "duplicate_slew", "--state", "enforce"),
        *("--option", "duplevel=2", "--option", "spared=@b.test", "--option", "spared=@c.test"),
    )
    row = SiteFilter.objects.get()
    assert row.options == {"duplevel": 2, "spared": ["@b.test", "@c.test"]}
    for _ in range(3):
        told = run("test", str(letter), "--from", "x@d.test", "--to", "bob@example.test")
        assert "copy 1 of this message; 2 are a slew" in told
        assert "the message would be: accepted" in told
    assert not SlewSighting.objects.exists()
