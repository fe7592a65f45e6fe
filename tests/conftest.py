"""What every test gets."""

from tests.support import django_flush

django_flush.install()
