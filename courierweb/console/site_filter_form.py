"""The form of a site filter: the fields of every row, and those that its kind has."""

from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from courierweb.console.fields import DurationField, LinesField
from mta import site_filters
from mta.filters.base import Kind, Option, Trouble
from mta.filters.registry import kinds
from mta.models import SiteFilter

# Stands before the name of an option of the kind.
OPTION = "option_"
# Text that is a program, in which no browser shall mend anything.
_PROGRAM = {"rows": 18, "spellcheck": "false", "autocapitalize": "off", "class": "font-mono"}


class SiteFilterForm(forms.ModelForm):
    """`options` of the row are gathered from the fields of the kind."""

    kind = forms.CharField(
        widget=UnfoldAdminTextInputWidget(attrs={"readonly": True}),
        help_text="what it is cannot change; add another filter for that",
    )
    timeout = DurationField(initial="30 s", help_text="so long one answer may take")
    text = forms.CharField(
        required=False, strip=False, widget=UnfoldAdminTextareaWidget(attrs=_PROGRAM)
    )

    class Meta:
        model = SiteFilter
        fields = (
            "kind",
            "name",
            "state",
            "position",
            "note",
            "stage",
            "esmtp",
            "submission",
            "local",
            "uucp",
            "mandatory",
            "on_trouble",
            "timeout",
            "text",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            return
        for name, value in self.instance.options.items():
            if OPTION + name in self.fields:
                self.initial[OPTION + name] = value

    def clean_kind(self) -> str:
        return self.instance.kind if self.instance.pk else str(self.cleaned_data["kind"])

    def _post_clean(self) -> None:
        """The kind judges the row as it would be."""
        self.instance.options = {**self.instance.options, **self._given()}
        super()._post_clean()
        if self.errors:
            return
        try:
            site_filters.check(self.instance)
        except forms.ValidationError as error:
            self._point_at(error)

    def _given(self) -> dict[str, Any]:
        return {
            name.removeprefix(OPTION): value
            for name, value in self.cleaned_data.items()
            if name.startswith(OPTION) and value is not None
        }

    def _point_at(self, error: forms.ValidationError) -> None:
        """At the field that the sentence names, else at the form as a whole."""
        for field, sentences in error.message_dict.items():
            for sentence in sentences:
                option = OPTION + sentence.partition(":")[0]
                named = option if option in self.fields else field
                self.add_error(named if named in self.fields else None, sentence)


def kind_of(name: str) -> Kind | None:
    """The kind if it can be asked."""
    try:
        return kinds.find(name)
    except Trouble:
        return None


def form_of(name: str) -> type[SiteFilterForm]:
    """The form of a kind, with a field for each of its options."""
    kind = kind_of(name)
    fields = {OPTION + each.name: _field(each) for each in kind.options} if kind else {}
    return type("SiteFilterForm", (SiteFilterForm,), {**fields, "Meta": SiteFilterForm.Meta})


def _field(option: Option) -> forms.Field:
    told = {"label": option.label, "help_text": option.help, "initial": option.default}
    if option.type is bool:
        return forms.BooleanField(required=False, widget=UnfoldBooleanSwitchWidget(), **told)
    if option.type is int:
        return forms.IntegerField(widget=UnfoldAdminIntegerFieldWidget(), **told)
    if option.type is float:
        return forms.FloatField(widget=UnfoldAdminDecimalFieldWidget(), **told)
    if option.type is list:
        return LinesField(required=False, **told)
    return forms.CharField(required=False, widget=UnfoldAdminTextInputWidget(), **told)
