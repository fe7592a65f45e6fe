"""Passwords of mailboxes, as an administrator sets them in the console."""

import pytest

from mta.models import Domain, Mailbox
from mta.protocol.scram import StoredKeys

pytestmark = pytest.mark.django_db


@pytest.fixture
def save(browser):
    """Add bob@example.test with this password; gives the page that comes back."""
    domain = Domain.objects.create(name="example.test")

    def save(password):
        form = {"local_part": "bob", "domain": domain.pk, "name": "", "quota": "0"}
        form |= {"sender_grants-TOTAL_FORMS": "0", "sender_grants-INITIAL_FORMS": "0"}
        return browser.post("/console/mta/mailbox/add/", form | {"new_password": password})

    return save


def test_it_is_kept_for_scram_too(save):
    save("tr0ubador and 3")
    assert StoredKeys.from_text(Mailbox.objects.get().scram)


def test_what_nobody_could_type_is_refused_in_words(save):
    page = save("a tab\tin the middle")
    assert "this cannot be a password" in page.text
    assert not Mailbox.objects.exists()


def test_none_is_none():
    bob = Mailbox()
    bob.set_password("tr0ubador and 3")
    bob.set_password("")
    assert bob.password == bob.scram == ""
