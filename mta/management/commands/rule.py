"""rule list|set: the rules in the order in which they are asked, and which are in force."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.policy_change import policy_change
from mta.models import RuleState
from mta.policy.decision import RULES
from mta.queue.history import rule_hits

ALWAYS = "always"


class Command(ApplianceCommand):
    help = "List the rules with their hits, or switch one off, to log only, or on."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|set")
        add_json(verbs.add_parser("list", help="list the rules in order"))
        set_ = verbs.add_parser("set", help="say whether an optional rule is in force")
        set_.add_argument("name")
        set_.add_argument("state", choices=RuleState.State.values)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "list":
            self.show(_rows(options["json"]), options["json"])
        else:
            self.set(options["name"], options["state"])

    def set(self, name: str, state: str) -> None:
        known = {rule.__name__: rule for rules in RULES.values() for rule in rules}
        if name not in known:
            raise CommandError(f"there is no rule {name} (rule list shows them)")
        if not known[name].is_optional:
            raise CommandError(f"{name} is always in force")
        with policy_change():
            row = RuleState.objects.filter(rule=name).first() or RuleState(rule=name)
            row.state = state
            row.full_clean()
            row.save()
        self.stdout.write(f"{name}: {row.get_state_display().lower()}")


def _rows(with_words: bool) -> list[dict[str, Any]]:
    """Hits of 24 hours and of 7 days: refused, and what was only logged."""
    states = dict(RuleState.objects.values_list("rule", "state"))
    hits = rule_hits()
    rows = []
    for stage, rules in RULES.items():
        for rule in rules:
            name, of_rule = rule.__name__, hits[stage.value, rule.__name__]
            state = states.get(name, str(rule.default)) if rule.is_optional else ALWAYS
            row: dict[str, Any] = {
                "stage": stage.value,
                "rule": name,
                "state": state,
                "refused_24h": of_rule.day,
                "refused_7d": of_rule.week,
                "logged_24h": of_rule.logged_day,
                "logged_7d": of_rule.logged_week,
            }
            if with_words:
                row["about"] = " ".join((rule.__doc__ or "").split())
            rows.append(row)
    return rows
