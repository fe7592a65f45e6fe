"""The pages of the lists: DNS lists, bad senders and hosts, spam traps, and what was learned."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from courierweb.console.forms import DeliveryLimitForm, DnsListForm, ListenerForm
from courierweb.console.policy_admin import PolicyAdmin
from mta.models import (
    AddressTrouble,
    BadMailHost,
    BadSender,
    DeliveryLimit,
    DnsList,
    DsnRefuser,
    FreemailDomain,
    Listener,
    SpamTrap,
    UucpNeighbor,
)

MOST_REPLY = 120
_STATE_TONES = {"off": "info", "log": "warning", "enforce": "success"}


@admin.register(DnsList)
class DnsListAdmin(PolicyAdmin):
    form = DnsListForm
    list_display = ("zone", "shown_action", "answers", "shown_state", "text", "position", "note")
    list_filter = ("action", "state")
    search_fields = ("zone", "text", "note")
    fields = ("zone", "action", "state", "answers", "text", "position", "note")
    empty_list = (
        "No DNS list is asked about clients. Set a new one to log only at first, and look at "
        "its hits before it decides."
    )

    @display(description="Action", ordering="action", label={"block": "danger", "allow": "success"})
    def shown_action(self, row: DnsList) -> tuple[str, str]:
        return row.action, row.action

    @display(description="State", ordering="state", label=_STATE_TONES)
    def shown_state(self, row: DnsList) -> tuple[str, str]:
        return row.state, row.get_state_display()


@admin.register(DeliveryLimit)
class DeliveryLimitAdmin(PolicyAdmin):
    form = DeliveryLimitForm
    list_display = ("scope", "transport", "nexthop", "simultaneous", "per_minute", "note")
    list_filter = ("scope", "transport")
    search_fields = ("nexthop", "note")
    fields = ("scope", "transport", "nexthop", "simultaneous", "per_minute", "note")
    empty_list = (
        "Each destination takes as many deliveries at once as the setting maxhost says. A limit "
        "here overrides it for one destination, or for all with *, and may set a rate."
    )


@admin.register(UucpNeighbor)
class UucpNeighborAdmin(PolicyAdmin):
    list_display = ("path", "flags", "note")
    search_fields = ("path", "note")
    fields = ("path", "flags", "note")
    empty_list = (
        "No mail goes by UUCP, but what a route sends there. Mail to a neighbour listed here is "
        "taken from everybody, as apple!john at one of our domains."
    )


@admin.register(BadSender)
class BadSenderAdmin(PolicyAdmin):
    list_display = ("pattern", "note")
    search_fields = ("pattern", "note")
    fields = ("pattern", "note")
    empty_list = "No return address is refused by name."


@admin.register(FreemailDomain)
class FreemailDomainAdmin(PolicyAdmin):
    list_display = ("domain", "partners")
    search_fields = ("domain", "partners")
    fields = ("domain", "partners")
    empty_list = (
        "Mail from a domain listed here is taken only from hosts whose names are in that domain."
    )


@admin.register(BadMailHost)
class BadMailHostAdmin(PolicyAdmin):
    list_display = ("network", "note")
    search_fields = ("network", "note")
    fields = ("network", "note")
    empty_list = "Mail from domains whose MX has an address listed here is refused."


@admin.register(SpamTrap)
class SpamTrapAdmin(PolicyAdmin):
    list_display = ("address",)
    search_fields = ("address",)
    fields = ("address",)
    empty_list = "A message that is also meant for an address listed here is refused whole."


@admin.register(Listener)
class ListenerAdmin(PolicyAdmin):
    form = ListenerForm
    list_display = ("shown_name", "sizelimit", "mime", "tls_required")
    fields = ("name", "sizelimit", "mime", "tls_required")
    empty_list = "All three listeners are as the settings say: MIME is strict, TLS is offered."

    @display(description="Listener", ordering="name")
    def shown_name(self, row: Listener) -> str:
        return row.get_name_display()

    def has_add_permission(self, request: HttpRequest) -> bool:
        may = super().has_add_permission(request)
        return may and Listener.objects.count() < len(Listener.Name.values)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("name",) if obj else ()


@admin.register(DsnRefuser)
class DsnRefuserAdmin(PolicyAdmin):
    list_display = ("domain", "refusals", "shown_state", "last_at", "expires_at", "shown_reply")
    list_filter = ("exempt",)
    search_fields = ("domain", "reply", "host")
    readonly_fields = (
        "domain",
        "refusals",
        "reply",
        "host",
        "first_at",
        "last_at",
        "expires_at",
    )
    fields = ("domain", "exempt", "refusals", ("host", "reply"), ("first_at", "last_at"))
    actions = ("exempt", "judge")
    ordering = ("-last_at",)
    empty_list = (
        "No server has refused a report of ours lately. One that does is listed here by itself; "
        "deleting its row clears it."
    )

    @display(description="State", ordering="exempt", label={"exempt": "info", "listed": "warning"})
    def shown_state(self, row: DsnRefuser) -> tuple[str, str]:
        return ("exempt", "Exempt") if row.exempt else ("listed", "Listed")

    @display(description="What its server said")
    def shown_reply(self, row: DsnRefuser) -> str:
        return _clipped(row.reply)

    @action(description="Exempt: take their mail whatever they refuse", permissions=["change"])
    def exempt(self, request: HttpRequest, queryset: QuerySet[DsnRefuser]) -> None:
        self._set_exempt(request, queryset, exempt=True)

    @action(description="No longer exempt", permissions=["change"])
    def judge(self, request: HttpRequest, queryset: QuerySet[DsnRefuser]) -> None:
        self._set_exempt(request, queryset, exempt=False)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def _set_exempt(
        self, request: HttpRequest, queryset: QuerySet[DsnRefuser], *, exempt: bool
    ) -> None:
        count = queryset.exclude(exempt=exempt).update(exempt=exempt)
        word = "exempt" if exempt else "no longer exempt"
        messages.success(request, f"{count} domain{' is' if count == 1 else 's are'} {word}.")


@admin.register(AddressTrouble)
class AddressTroubleAdmin(ModelAdmin):
    """What deliveries have taught: it is seen and cleared here, never written."""

    list_display = ("address", "shown_kind", "shown_reply", "at")
    list_filter = ("permanent",)
    search_fields = ("address", "reply")
    ordering = ("-at",)
    list_per_page = 50
    list_fullwidth = True
    show_full_result_count = False
    fields = ("address", "permanent", "reply", "at")
    readonly_fields = fields
    empty_list = (
        "No delivery failed lately. An address whose delivery does is refused at RCPT for a "
        "while; deleting its row clears it."
    )

    @display(description="Refused", label={"permanent": "danger", "transient": "warning"})
    def shown_kind(self, row: AddressTrouble) -> tuple[str, str]:
        return ("permanent", "for good, 556") if row.permanent else ("transient", "for now, 456")

    @display(description="What became of the last delivery")
    def shown_reply(self, row: AddressTrouble) -> str:
        return _clipped(row.reply)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _clipped(text: str) -> str:
    return text if len(text) <= MOST_REPLY else f"{text[:MOST_REPLY]}…"
