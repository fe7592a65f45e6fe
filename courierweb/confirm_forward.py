"""GET and POST /mail/confirm/TOKEN: does who reads an address agree to have mail forwarded to it?

Needs no sign-in: whoever has the mail with the token reads that address. Looking at the page agrees
to nothing, since programs that check links open them.
"""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from mta import forward_confirmation


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm_forward(request: HttpRequest, token: str) -> HttpResponse:
    find = forward_confirmation.confirm if request.method == "POST" else forward_confirmation.asked
    row = find(token)
    response = render(
        request, "confirm_forward.html", {"row": row}, status=404 if row is None else 200
    )
    # The address of this page is the token.
    response.headers["Referrer-Policy"] = "same-origin"
    return response
