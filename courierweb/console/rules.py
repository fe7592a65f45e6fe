"""The page "Rules": every rule in the order in which it is asked, its state, and its hits."""

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import cleandoc

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from courierweb.console.page import page, render_page
from mta.models import RuleState
from mta.policy.decision import RULES, Stage
from mta.policy.rule import Rule
from mta.queue import history
from mta.queue.history import Hits

STAGE_TITLES = {
    Stage.CONNECT: "When a client connects",
    Stage.HELO: "HELO and EHLO",
    Stage.AUTH: "AUTH",
    Stage.MAIL: "MAIL FROM",
    Stage.RCPT: "RCPT TO",
    Stage.CONTENT: "The end of DATA",
    Stage.VERDICT: "Each recipient's own word after DATA",
}


@dataclass(frozen=True, slots=True)
class ShownRule:
    """One line: `states` are the choices of an optional rule, empty for one always in force."""

    name: str
    stage: str
    about: str
    state: str
    states: tuple[tuple[str, str], ...]
    hits: Hits


@dataclass(frozen=True, slots=True)
class ShownStage:
    title: str
    rules: tuple[ShownRule, ...]


@page("mta.view_rulestate")
@require_http_methods(["GET", "HEAD", "POST"])
def rules(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return _save(request)
    states = dict(RuleState.objects.values_list("rule", "state"))
    hits = history.rule_hits()
    return render_page(
        request,
        "console/rules.html",
        "Rules",
        stages=[_stage(stage, rules, states, hits) for stage, rules in RULES.items() if rules],
        may_change=request.user.has_perm("mta.change_rulestate"),
    )


def optional_rules() -> dict[str, Rule]:
    """Those that an administrator may switch off, by name."""
    return {rule.__name__: rule for rules in RULES.values() for rule in rules if rule.is_optional}


def _save(request: HttpRequest) -> HttpResponse:
    """Stores the states that differ from those in force; what is not named stays."""
    if not request.user.has_perm("mta.change_rulestate"):
        raise PermissionDenied
    changed = _store(request.POST)
    if changed:
        messages.success(request, f"In force for the next message: {', '.join(changed)}.")
    else:
        messages.info(request, "Nothing was changed.")
    return HttpResponseRedirect(reverse("console:rules"))


def _store(data: QueryDict) -> list[str]:
    changed = []
    known = {row.rule: row for row in RuleState.objects.select_for_update()}
    for name, rule in optional_rules().items():
        row = known.get(name) or RuleState(rule=name, state=str(rule.default))
        # A rule of two stages is in the form twice; what was changed is what is meant.
        wanted = {state for state in data.getlist(name) if state in RuleState.State.values}
        for state in wanted - {row.state}:
            row.state = state
            row.save()
            changed.append(f"{name} is {row.get_state_display().lower()}")
    return changed


def _stage(
    stage: Stage,
    rules: tuple[Rule, ...],
    states: Mapping[str, str],
    hits: Mapping[tuple[str, str], Hits],
) -> ShownStage:
    shown = tuple(
        ShownRule(
            name=rule.__name__,
            stage=stage.value,
            about=cleandoc(rule.__doc__ or ""),
            state=states.get(rule.__name__, str(rule.default)) if rule.is_optional else "",
            states=tuple(RuleState.State.choices) if rule.is_optional else (),
            hits=hits[stage.value, rule.__name__],
        )
        for rule in rules
    )
    return ShownStage(STAGE_TITLES[stage], shown)
