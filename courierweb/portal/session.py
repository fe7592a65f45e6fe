"""Who is signed in at the portal: a session of its own, beside that of an administrator.

It lives under a cookie of its own, knows a mailbox and no Django user, and ends with sign-out,
idleness, a changed password and a mailbox that is disabled.
"""

import hmac
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from courierweb.console.actor import name_actor
from mta.models import Mailbox
from mta.models.appliance_key import appliance_key

COOKIE = "courierweb_mail"
PATH = "/mail/"
IDLE_SECONDS = 2 * 3600
LONGEST_SECONDS = 24 * 3600
# So often is it written down that somebody is still there.
_NOTE_SECONDS = 60

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

View = Callable[..., HttpResponse]


def begin(request: HttpRequest, response: HttpResponse, mailbox: Mailbox) -> None:
    """Sign in: always a new session, so that a key that somebody planted is worth nothing."""
    _forget(request)
    now = timezone.now().timestamp()
    store = SessionStore()
    store.update({"mailbox": mailbox.pk, "proof": _proof(mailbox), "began": now, "seen": now})
    store.set_expiry(LONGEST_SECONDS)
    store.create()
    # create() writes an empty session: the key is new, what it means follows.
    store.save()
    response.set_cookie(
        COOKIE,
        store.session_key or "",
        path=PATH,
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )


def end(request: HttpRequest, response: HttpResponse) -> None:
    _forget(request)
    response.delete_cookie(COOKIE, path=PATH, samesite="Lax")


def _forget(request: HttpRequest) -> None:
    key = request.COOKIES.get(COOKIE, "")
    if key:
        SessionStore(key).delete()


def find(request: HttpRequest) -> tuple[Mailbox, SessionStore] | None:
    """The owner of this session, None when nobody is signed in any more."""
    key = request.COOKIES.get(COOKIE, "")
    store = SessionStore(key) if key else None
    if store is None or "mailbox" not in store:
        return None
    now = timezone.now().timestamp()
    mailbox = Mailbox.objects.select_related("domain").filter(pk=store["mailbox"]).first()
    too_late = now - store["seen"] > IDLE_SECONDS or now - store["began"] > LONGEST_SECONDS
    if mailbox is None or not mailbox.enabled or not mailbox.password or too_late:
        store.delete()
        return None
    if not hmac.compare_digest(store["proof"], _proof(mailbox)):
        store.delete()
        return None
    if now - store["seen"] > _NOTE_SECONDS:
        store["seen"] = now
        store.save()
    return mailbox, store


def page(view: View) -> View:
    """A view for the owner of a mailbox: `request.mailbox` and `request.portal`, their session.

    A POST is one transaction that bears the owner's name.
    """

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        found = find(request)
        if found is None:
            query = urlencode({"next": request.get_full_path()}) if request.method == "GET" else ""
            return HttpResponseRedirect(f"{reverse('portal:sign_in')}?{query}".rstrip("?"))
        request.mailbox, request.portal = found
        if request.method == "POST":
            with transaction.atomic():
                name_actor(request.mailbox.address)
                response = view(request, *args, **kwargs)
        else:
            response = view(request, *args, **kwargs)
        return private(response)

    return guarded


def private(response: HttpResponse) -> HttpResponse:
    """Nothing of it is kept by a browser, and it runs no script but our file."""
    response["Cache-Control"] = "no-store, private"
    response["Content-Security-Policy"] = _POLICY
    response["Referrer-Policy"] = "same-origin"
    return response


def _proof(mailbox: Mailbox) -> str:
    """Another one after every change of the password."""
    return hmac.new(
        appliance_key(b"portal session"), mailbox.password.encode(), "sha256"
    ).hexdigest()
