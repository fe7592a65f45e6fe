"""Every address of the web server."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from courierweb.console.healthz import healthz
from courierweb.console.metrics import metrics

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/<path:rest>", RedirectView.as_view(url="/console/%(rest)s", query_string=True)),
    path("console/", include("courierweb.console.urls")),
    path("console/", admin.site.urls),
    path("mail/", include("courierweb.portal.urls")),
    path("healthz", healthz, name="healthz"),
    path("metrics", metrics, name="metrics"),
]
