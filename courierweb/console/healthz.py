"""GET /healthz: 200 once every part is up, 503 naming what is not. Needs no sign-in."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from courierweb.console import health


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    parts = health.parts()
    down = [part.name for part in parts if not part.ok]
    body = {
        "status": "unavailable" if down else "ok",
        "down": down,
        "parts": {part.name: {"ok": part.ok, "detail": part.detail} for part in parts},
    }
    return JsonResponse(body, status=503 if down else 200)
