"""The pages of what routes name: programs and webhooks."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from courierweb.console.policy_admin import PolicyAdmin
from courierweb.console.target_forms import ProgramForm, TargetForm, WebhookForm
from mta.models import Program, Webhook
from mta.models.named_target import NamedTarget


class TargetAdmin(PolicyAdmin):
    """A row that routes use stays, and keeps its name."""

    search_fields = ("name", "note")
    list_filter = ("enabled",)

    @display(description="State", ordering="enabled", label={"on": "success", "off": "danger"})
    def shown_state(self, row: NamedTarget) -> tuple[str, str]:
        return ("on", "Takes mail") if row.enabled else ("off", "Its mail waits")

    @display(description="Routes")
    def shown_routes(self, row: NamedTarget) -> str:
        used = row.routes()
        shown = ", ".join(route.domain for route in used[:3])
        return shown + (f" and {len(used) - 3} more" if len(used) > 3 else "")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if isinstance(form, TargetForm):
            obj.set_simultaneous(form.cleaned_data.get("simultaneous"))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("name",) if obj else ()

    def get_deleted_objects(self, objs: Iterable[Any], request: HttpRequest) -> Any:
        """What the page that asks again shows; routes stand in the way of it."""
        found, counts, missing, protected = super().get_deleted_objects(objs, request)
        used = [f"Route: {route}" for row in objs for route in row.routes()]
        return found, counts, missing, [*protected, *used]

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """One by one, since each looks after its limit."""
        for row in queryset:
            row.delete()


@admin.register(Program)
class ProgramAdmin(TargetAdmin):
    form = ProgramForm
    list_display = ("name", "shown_argv", "user", "shown_state", "shown_routes", "note")
    fieldsets = (
        (None, {"fields": ("name", "argv", "user", "enabled", "note")}),
        ("Limits", {"fields": (("timeout", "simultaneous"), ("memory", "cpu"))}),
        (
            "What it reads",
            {
                "fields": ("separately", ("return_path", "delivered_to"), ("from_line", "crlf")),
                "description": "The message comes on its standard input. It ends with 0 for "
                "delivered, 75 for later, 67 for no such user, 69 for failed; what it prints is "
                "told to the sender.",
            },
        ),
    )
    empty_list = (
        "A program takes the mail of a route to pipe:NAME: an archive, a ticket system, a filter."
    )

    @display(description="Program", ordering="argv")
    def shown_argv(self, row: Program) -> str:
        return " ".join(row.argv)


@admin.register(Webhook)
class WebhookAdmin(TargetAdmin):
    form = WebhookForm
    list_display = ("name", "url", "form", "shown_state", "shown_routes", "note")
    fieldsets = (
        (None, {"fields": ("name", "url", "private", "new_secret", "enabled", "note")}),
        ("How it is posted", {"fields": ("form", "sizelimit", ("timeout", "simultaneous"))}),
    )
    empty_list = (
        "A webhook takes the mail of a route to http:NAME: it is posted there, signed with a "
        "secret that you share with it."
    )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        made = getattr(form, "made", "")
        if made:
            messages.warning(request, f"The secret of {obj}, which is not shown again: {made}")
