"""What the pages of the policy share."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin

from mta.models import PolicyChange


class PolicyAdmin(ModelAdmin):
    """A page of the policy says since when, and by whom, its row is as it is."""

    list_per_page = 50
    list_filter_submit = False
    list_fullwidth = True
    warn_unsaved_form = True
    change_form_outer_before_template = "console/policy_origin.html"

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {**(extra_context or {}), "last_change": self._last_change(object_id)}
        return super().changeform_view(request, object_id, form_url, context)

    def _last_change(self, object_id: str | None) -> PolicyChange | None:
        if object_id is None or not object_id.isdecimal():
            return None
        return PolicyChange.objects.filter(
            table=self.model._meta.db_table, after__id=int(object_id)
        ).first()
