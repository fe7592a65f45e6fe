"""Few database connections for many threads."""

import threading

import pytest
from django.db import OperationalError, connection

from mta.queue.loan import Loans
from tests.support.threads import Beside


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


@pytest.fixture
def loans():
    lender = Loans(2)
    yield lender
    for _ in range(2):
        wrapper = lender._idle.get(timeout=10)
        if wrapper is not None:
            wrapper.close()


@pytest.mark.django_db(transaction=True)
def test_many_threads_use_few_connections(loans):
    gate = threading.Barrier(6)

    def ask() -> int:
        gate.wait(10)
        with loans.lent(), loans.lent():
            return backend()

    used = {worker.result() for worker in [Beside(ask) for _ in range(6)]}
    assert 1 <= len(used) <= 2
    assert backend() not in used


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_failed_is_opened_anew(loans):
    with pytest.raises(OperationalError), loans.lent():
        first = backend()
        raise OperationalError("gone")
    with loans.lent():
        assert backend() != first
