"""The page of the site filters, in the order in which they are asked, with the form of a kind."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.decorators import display

from courierweb.console.policy_admin import PolicyAdmin
from courierweb.console.site_filter_form import OPTION, form_of, kind_of
from mta.filters.registry import kinds
from mta.models import SiteFilter

_TONES = {"off": "info", "log": "warning", "enforce": "success"}
_ABOUT_SOURCES = "about which mail it is asked"


@admin.register(SiteFilter)
class SiteFilterAdmin(PolicyAdmin):
    change_form_outer_before_template = "console/site_filter_head.html"
    list_display = (
        "name",
        "shown_kind",
        "shown_stage",
        "shown_sources",
        "shown_state",
        "on_trouble",
        "position",
        "note",
    )
    list_filter = ("state", "stage", "kind")
    search_fields = ("name", "note", "text")
    ordering = ("position", "name")
    empty_list = (
        "No site filter is asked: mail is accepted as the rules say. Set a new one to log only at "
        "first, and look at what it would have done."
    )

    @display(description="Kind", ordering="kind")
    def shown_kind(self, row: SiteFilter) -> str:
        kind = kind_of(row.kind)
        return kind.label if kind else f"{row.kind} (not there)"

    @display(description="Stage", ordering="stage")
    def shown_stage(self, row: SiteFilter) -> str:
        return row.get_stage_display()

    @display(description="Sources")
    def shown_sources(self, row: SiteFilter) -> str:
        return ", ".join(sorted(source.value for source in row.sources())) or "none"

    @display(description="State", ordering="state", label=_TONES)
    def shown_state(self, row: SiteFilter) -> tuple[str, str]:
        return row.state, row.get_state_display()

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """What the form asks for depends on the kind, so that is chosen first."""
        if kind_of(self._kind(request, None)) is None:
            return self._choice(request)
        return super().add_view(request, form_url, extra_context)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        kwargs["form"] = form_of(self._kind(request, obj))
        form: type[forms.ModelForm] = super().get_form(request, obj, change=change, **kwargs)
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        kind = kind_of(self._kind(request, obj))
        own = [OPTION + option.name for option in kind.options] if kind else []
        if kind is None or kind.has_text or (obj and obj.text):
            own.append("text")
        sources = ("esmtp", "submission", "local", "uucp")
        sets = [
            (None, {"fields": ("kind", "name", ("state", "position"), "note")}),
            (
                "When it is asked",
                {"fields": ("stage", *sources, "mandatory"), "description": _ABOUT_SOURCES},
            ),
            ("When it is away", {"fields": (("on_trouble", "timeout"),)}),
        ]
        if own:
            sets.insert(1, (kind.label if kind else "What it holds", {"fields": tuple(own)}))
        return sets

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"kind": self._kind(request, None)}

    def _kind(self, request: HttpRequest, row: SiteFilter | None) -> str:
        if row is not None:
            return row.kind
        return str(request.POST.get("kind") or request.GET.get("kind") or "")

    def _choice(self, request: HttpRequest) -> HttpResponse:
        if not self.has_add_permission(request):
            return self.changelist_view(request)
        choices = [
            {
                "url": "?" + urlencode({"kind": kind.name}),
                "label": kind.label,
                "about": about(kind),
                "stages": ", ".join(
                    stage.label for stage in SiteFilter.Stage if stage.value in kind.stages
                ),
            }
            for kind in kinds.working()
        ]
        context = {
            **self.admin_site.each_context(request),
            "title": "Add site filter: which kind?",
            "opts": self.model._meta,
            "choices": choices,
        }
        return TemplateResponse(request, "console/site_filter_kinds.html", context)


def about(kind: object) -> str:
    """The first sentence of the module or the class of a kind."""
    text = (type(kind).__doc__ or "").strip()
    return text.splitlines()[0] if text else ""
