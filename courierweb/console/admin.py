"""The pages of the policy: domains, mailboxes, aliases, access rules, routes, settings."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Count, F, Func, QuerySet, TextField, Value
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserCreationForm

from courierweb.console import (  # noqa: F401 - register their pages
    list_admin,
    scheduling_admin,
    site_filter_admin,
    target_admin,
)
from courierweb.console.change_words import change_subject, table_name
from courierweb.console.fields import size_text
from courierweb.console.forms import (
    AccessRuleForm,
    AdministratorForm,
    AliasForm,
    MailboxForm,
    RouteForm,
    SettingsForm,
)
from courierweb.console.frame import wide_relays
from courierweb.console.policy_admin import PolicyAdmin
from courierweb.console.setting_groups import SETTING_GROUPS
from courierweb.console.system_users import user_rows
from mta.models import (
    AccessRule,
    Alias,
    Domain,
    Mailbox,
    PolicyChange,
    Route,
    SenderGrant,
    Settings,
)

DOMAIN_KINDS = {
    Domain.Kind.HOSTED: "Hosted",
    Domain.Kind.LOCAL: "This host",
    Domain.Kind.BACKUP: "Backup MX",
}

# Settings by which commands are run as other users of the system.
RUN_AS = ("systemaccounts", "minuid", "defaultdelivery", "dynamicdeliveries", "aliasuser")

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(Domain)
class DomainAdmin(PolicyAdmin):
    list_display = ("name", "shown_kind", "mailbox_count", "note", "created_at")
    list_filter = ("kind",)
    search_fields = ("name", "note")
    fields = ("name", "kind", "separators", "note")
    change_form_outer_before_template = "console/domain_head.html"
    empty_list = "Add the first domain that this server shall receive mail for."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Domain]:
        return super().get_queryset(request).annotate(mailbox_total=Count("mailboxes"))

    @display(
        description="Kind",
        ordering="kind",
        label={"hosted": "success", "local": "success", "backup": "info"},
    )
    def shown_kind(self, domain: Domain) -> tuple[str, str]:
        return domain.kind, DOMAIN_KINDS[Domain.Kind(domain.kind)]

    @display(description="Mailboxes", ordering="mailbox_total")
    def mailbox_count(self, domain: Domain) -> int:
        return domain.mailbox_total

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        domain = self.get_object(request, object_id)
        if domain is not None and (count := domain.mailboxes.count()):
            messages.error(
                request,
                f"{domain} still has {count} mailbox{'es' if count > 1 else ''}. "
                "Delete or move these first; then the domain can go.",
            )
            url = reverse("admin:mta_mailbox_changelist")
            return HttpResponseRedirect(f"{url}?domain__id__exact={quote(domain.pk)}")
        return super().delete_view(request, object_id, extra_context)


class SenderGrantInline(TabularInline):
    """Further addresses the mailbox's user may send as."""

    model = SenderGrant
    fields = ("pattern",)
    extra = 0
    verbose_name = "address its user may send as"
    verbose_name_plural = "may also send as"


@admin.register(Mailbox)
class MailboxAdmin(PolicyAdmin):
    form = MailboxForm
    list_display = ("address", "name", "active", "can_sign_in", "shown_quota", "created_at")
    list_filter = ("enabled", "domain")
    search_fields = ("local_part", "domain__name", "name")
    list_select_related = ("domain",)
    ordering = ("domain__name", "local_part")
    fields = (
        "local_part",
        "domain",
        "name",
        "new_password",
        ("quota", "sizelimit"),
        "submission_sizelimit",
        "enabled",
    )
    inlines = (SenderGrantInline,)
    empty_list = "Mailboxes live in hosted domains: add a domain, then its mailboxes."
    list_after_template = "console/system_users.html"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {**(extra_context or {}), "system_users": user_rows()}
        return super().changelist_view(request, context)

    @display(description="Address", ordering="local_part", header=False)
    def address(self, mailbox: Mailbox) -> str:
        return mailbox.address

    @display(description="State", ordering="enabled", label={"on": "success", "off": "danger"})
    def active(self, mailbox: Mailbox) -> tuple[str, str]:
        return ("on", "Receives mail") if mailbox.enabled else ("off", "Switched off")

    @display(description="Password", boolean=True)
    def can_sign_in(self, mailbox: Mailbox) -> bool:
        return bool(mailbox.password)

    @display(description="Quota", ordering="quota")
    def shown_quota(self, mailbox: Mailbox) -> str:
        return size_text(mailbox.quota) if mailbox.quota else "no limit"


class RunsPrograms(admin.SimpleListFilter):
    """Aliases that run programs or write files on this host."""

    title = "programs and files"
    parameter_name = "runs"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Runs a program or writes a file")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alias]) -> QuerySet[Alias]:
        if self.value() != "yes":
            return queryset
        lines = Func(
            F("targets"), Value("\n"), function="array_to_string", output_field=TextField()
        )
        return queryset.annotate(lines=lines).filter(lines__regex=r"(^|\n)(\||/[^@\n]*($|\n))")


@admin.register(Alias)
class AliasAdmin(PolicyAdmin):
    form = AliasForm
    list_display = ("name", "shown_targets", "note", "created_at")
    search_fields = ("name", "targets", "note")
    fields = ("name", "targets", "note")
    list_filter = (RunsPrograms,)
    empty_list = "An alias gives a mailbox a second address, or makes a list of several."

    @display(description="Delivers to")
    def shown_targets(self, alias: Alias) -> str:
        shown, rest = alias.targets[:2], len(alias.targets) - 2
        return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form = super().get_form(request, *args, **kwargs)
        form.may_run = request.user.is_superuser
        return form

    def save_model(self, request: HttpRequest, obj: Alias, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if obj.instructions:
            messages.warning(
                request,
                f"Mail to {obj} runs or writes {', '.join(obj.instructions)} on this host, as the "
                f"user {Settings.load().aliasuser}.",
            )


@admin.register(AccessRule)
class AccessRuleAdmin(PolicyAdmin):
    form = AccessRuleForm
    list_display = ("prefix", "shown_action", "shown_relay", "text", "note", "created_at")
    list_filter = ("action", "relay")
    search_fields = ("prefix", "text", "note")
    fieldsets = (
        (
            None,
            {"fields": ("prefix", "action", "relay", "confirmation", "text", "proxy", "note")},
        ),
        (
            "Switches and limits of this network",
            {
                "description": "What is not set here is as the listener says, else the settings.",
                "fields": (
                    ("auth_required", "tls_required"),
                    ("checkdns", "checkhelo"),
                    ("spf", "dnslists"),
                    ("tarpit", "mime"),
                    ("sizelimit", "maxperip"),
                    "exdata",
                ),
            },
        ),
    )
    empty_list = (
        "Without rules every network may bring mail for your domains, and none may relay. "
        "The longest matching network decides alone."
    )

    @display(
        description="Action",
        ordering="action",
        label={"allow": "success", "block": "warning", "deny": "danger"},
    )
    def shown_action(self, rule: AccessRule) -> tuple[str, str]:
        return rule.action, rule.action

    @display(description="Relay", ordering="relay", label={"wide": "danger", "yes": "warning"})
    def shown_relay(self, rule: AccessRule) -> tuple[str, str]:
        if rule in wide_relays():
            return "wide", "relay, very wide"
        return ("yes", "relay") if rule.relay else ("no", "no")


@admin.register(Route)
class RouteAdmin(PolicyAdmin):
    form = RouteForm
    list_display = (
        "domain",
        "sender",
        "shown_relay",
        "port",
        "shown_security",
        "user",
        "note",
        "created_at",
    )
    list_filter = ("security",)
    search_fields = ("domain", "sender", "relay", "user", "note")
    fields = (
        "domain",
        "sender",
        ("relay", "port"),
        ("security", "ip_version"),
        ("user", "new_password"),
        "note",
    )
    empty_list = "Without routes all mail goes where its domain's MX records say."

    @display(description="Relay", ordering="relay")
    def shown_relay(self, route: Route) -> str:
        return route.relay or "as its MX says"

    @display(description="Security", ordering="security")
    def shown_security(self, route: Route) -> str:
        return route.get_security_display()

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "domain":
            field.help_text = '"example.com", ".example.com" for its sub-domains, "*" for all mail'
        return field


@admin.register(Settings)
class SettingsAdmin(PolicyAdmin):
    """One row that always exists, so the list leads straight to it."""

    form = SettingsForm
    fieldsets = SETTING_GROUPS

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What is run on this host, and as whom, is not for everybody who may change a limit."""
        return () if request.user.is_superuser else RUN_AS

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Settings | None = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = Settings.load()
        return HttpResponseRedirect(reverse("admin:mta_settings_change", args=[row.pk]))

    def response_change(self, request: HttpRequest, obj: Settings) -> HttpResponse:
        messages.success(request, "The settings are in force for the next message.")
        return HttpResponseRedirect(reverse("admin:mta_settings_change", args=[obj.pk]))


@admin.register(PolicyChange)
class PolicyChangeAdmin(ModelAdmin):
    """Who changed what and when: written by the database, read only here."""

    list_display = ("version", "at", "actor", "shown_operation", "shown_table", "subject")
    list_filter = ("operation", "table")
    search_fields = ("actor", "before", "after")
    list_per_page = 50
    list_fullwidth = True
    show_full_result_count = False
    empty_list = "Nothing was changed yet."

    @display(
        description="Change",
        label={"INSERT": "success", "UPDATE": "info", "DELETE": "danger"},
    )
    def shown_operation(self, change: PolicyChange) -> tuple[str, str]:
        words = {"INSERT": "added", "UPDATE": "changed", "DELETE": "deleted"}
        return change.operation, words.get(change.operation, change.operation)

    @display(description="What")
    def shown_table(self, change: PolicyChange) -> str:
        return table_name(change)

    @display(description="Which")
    def subject(self, change: PolicyChange) -> str:
        return change_subject(change)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        return HttpResponseRedirect(reverse("console:change", args=[object_id]))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: PolicyChange | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: PolicyChange | None = None) -> bool:
        return False


@admin.register(User)
class AdministratorAdmin(DjangoUserAdmin, ModelAdmin):
    """People who may sign in here."""

    form = AdministratorForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active", "is_superuser")
    list_fullwidth = True
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        (
            "Rights",
            {
                "fields": ("is_active", "is_staff", "is_superuser", "user_permissions"),
                "description": "Staff may sign in; a superuser may do everything and read "
                "message sources.",
            },
        ),
    )
    filter_horizontal = ()

    def has_view_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return self._may(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._may(request)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return self._may(request)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return self._may(request)

    @staticmethod
    def _may(request: HttpRequest) -> bool:
        """Who could make administrators could make themselves everything."""
        return bool(request.user.is_active and request.user.is_superuser)
