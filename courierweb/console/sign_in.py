"""Signing in at the console; who guesses passwords is soon told to wait.

Failures are counted by address and by user name, in the database, for all processes together. An
attempt counts as failed from before its password is looked at until it has succeeded, so that
many at the same time are no way around the limit.
"""

import logging
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils import timezone
from unfold.forms import AuthenticationForm

from courierweb.console.models import FailedSignIn

log = logging.getLogger(__name__)

FAILURES_ALLOWED = 10
WINDOW = timedelta(minutes=15)


class SignInForm(AuthenticationForm):
    def clean(self) -> dict[str, Any]:
        username, password = map(self.cleaned_data.get, ("username", "password"))
        if not username or not password:
            return super().clean()
        attempt = begin_attempt(self.request.META.get("REMOTE_ADDR", ""), username)
        cleaned = super().clean()
        end_attempt(attempt)
        return cleaned

    def get_invalid_login_error(self) -> ValidationError:
        log.warning(
            "sign-in as %s from %s failed",
            ascii(self.cleaned_data.get("username")),
            self.request.META.get("REMOTE_ADDR", ""),
        )
        return super().get_invalid_login_error()


def begin_attempt(client_ip: str, username: str) -> FailedSignIn:
    """Put an attempt on record. Raises ValidationError when there were too many; those that are
    turned away so do not count, and the wait has an end."""
    since = timezone.now() - WINDOW
    FailedSignIn.objects.filter(at__lte=since).delete()
    attempt = FailedSignIn.objects.create(at=timezone.now(), client_ip=client_ip, username=username)
    same = [Q(username=username)]
    if not is_shared(client_ip):
        same.append(Q(client_ip=client_ip))
    if any(FailedSignIn.objects.filter(each).count() > FAILURES_ALLOWED for each in same):
        attempt.delete()
        log.warning("too many failed sign-ins as %s or from %s", ascii(username), client_ip)
        raise ValidationError(
            "Too many failed sign-ins. Wait a quarter of an hour and try again.", code="too_many"
        )
    return attempt


def end_attempt(attempt: FailedSignIn) -> None:
    """It has succeeded, and those before it were slips."""
    FailedSignIn.objects.filter(client_ip=attempt.client_ip, username=attempt.username).delete()


def is_shared(client_ip: str) -> bool:
    """Whether it may stand for everybody: a proxy on this host does."""
    return not client_ip or ip_address(client_ip).is_loopback
