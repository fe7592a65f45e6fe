"""The frame of the console's own pages: sign-in, permission, and the look of the admin."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

View = Callable[..., HttpResponse]


def page(permission: str) -> Callable[[View], View]:
    """A view for staff who hold `permission`; a stranger is sent to the sign-in page."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.has_perm(permission):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return admin.site.admin_view(guarded)

    return decorate


def render_page(
    request: HttpRequest, template: str, title: str, **context: Any
) -> TemplateResponse:
    """The template inside the console's frame."""
    frame = admin.site.each_context(request)
    return TemplateResponse(
        request, template, {**frame, "title": title, "is_fullwidth": "1", **context}
    )
