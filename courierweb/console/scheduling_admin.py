"""The pages of the scheduler's exceptions: retry times and the wording of reports."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from courierweb.console.fields import duration_text
from courierweb.console.forms import RetryOverrideForm
from courierweb.console.policy_admin import PolicyAdmin
from mta.models import ReportText, RetryOverride
from mta.protocol import dsn_text


@admin.register(RetryOverride)
class RetryOverrideAdmin(PolicyAdmin):
    form = RetryOverrideForm
    list_display = ("name", "scope", "shown_times", "note")
    list_filter = ("scope",)
    search_fields = ("name", "note")
    fields = (
        ("scope", "name"),
        ("retryalpha", "retrybeta"),
        ("retrygamma", "retrymaxdelta"),
        ("queuetime", "dsn_queuetime"),
        ("warntime", "submitdelay"),
        "note",
    )
    empty_list = (
        "Every domain and every transport is tried as the settings say. What a row here leaves "
        "empty stays so; a domain's row wins over that of its transport."
    )

    @display(description="What differs")
    def shown_times(self, row: RetryOverride) -> str:
        return ", ".join(
            f"{name} {value if isinstance(value, int) else duration_text(value)}"
            for name, value in row.times.items()
        )


@admin.register(ReportText)
class ReportTextAdmin(PolicyAdmin):
    list_display = ("shown_name", "text")
    search_fields = ("name", "text")
    readonly_fields = ("ours", "placeholders", "preview")
    fields = ("name", "text", "placeholders", "ours", "preview")
    empty_list = (
        "Reports to senders use the built-in wording. Add the text that you want to replace; "
        "deleting its row brings ours back."
    )

    @display(description="Text", ordering="name")
    def shown_name(self, row: ReportText) -> str:
        return row.get_name_display()

    @display(description="The built-in text")
    def ours(self, row: ReportText) -> SafeString | str:
        text = dsn_text.TEXTS.get(row.name)
        if text is not None:
            return text.default
        texts = dsn_text.TEXTS.values()
        return format_html_join("", "<p><b>{}:</b> {}</p>", ((t.title, t.default) for t in texts))

    @display(description="Placeholders it may use")
    def placeholders(self, row: ReportText) -> SafeString | str:
        text = dsn_text.TEXTS.get(row.name)
        if text is not None:
            return ", ".join(f"{{{name}}}" for name in text.placeholders) or "none"
        lines = (
            f"{each.title}: " + ", ".join(f"{{{name}}}" for name in each.placeholders)
            for each in dsn_text.TEXTS.values()
            if each.placeholders
        )
        return format_html("{}", "; ".join(lines))

    @display(description="How it looks in a report")
    def preview(self, row: ReportText) -> str:
        text = dsn_text.TEXTS.get(row.name)
        if text is None or text.problem(row.text):
            return "shown after the row is saved"
        return text.preview(row.text)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("name", *self.readonly_fields) if obj else self.readonly_fields
