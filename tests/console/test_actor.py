"""A change in the console is one transaction: all of it under a name, or nothing of it."""

import pytest
from django.test import RequestFactory

from courierweb.console.actor import NamedTransaction
from mta.models import Domain, PolicyChange

pytestmark = pytest.mark.django_db


def run(view, user, method="post"):
    request = getattr(RequestFactory(), method)("/")
    request.user = user
    return NamedTransaction(lambda request: None).process_view(request, view, (), {})


def test_a_view_that_fails_half_way_leaves_nothing(admin_user):
    def view(request):
        Domain.objects.create(name="half.test")
        raise RuntimeError("then it broke")

    with pytest.raises(RuntimeError):
        run(view, admin_user)
    assert not Domain.objects.exists()
    assert not PolicyChange.objects.exists()


def test_the_name_covers_every_change_and_ends_with_the_request(admin_user):
    def view(request):
        Domain.objects.create(name="one.test")
        Domain.objects.create(name="two.test")
        return "done"

    assert run(view, admin_user) == "done"
    assert set(PolicyChange.objects.values_list("actor", flat=True)) == {"root"}


def test_reading_needs_no_transaction(admin_user):
    assert run(lambda request: "unused", admin_user, "get") is None
