"""import sendmail|qmail|courier DIRECTORY: take over the configuration of another mail server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from mta import runtime
from mta.management.appliance_command import ApplianceCommand, add_json, printable
from mta.management.policy_change import policy_change
from mta.models.access import normalize_prefix
from mta.upgrade import apply, systems
from mta.upgrade.plan import Plan, Step, Verdict, make_plan


class Command(ApplianceCommand):
    help = (
        "Take over the configuration of another mail server: what has an equivalent becomes rows, "
        "the rest is listed with its line. What is set here already is never changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("system", choices=[system.value for system in systems.System])
        parser.add_argument(
            "directory",
            type=Path,
            help="its configuration: /etc/mail, /var/qmail or /etc/courier, or a copy of it",
        )
        parser.add_argument("--dry-run", action="store_true", help="only show what would be done")
        parser.add_argument(
            "--confirm",
            metavar="PREFIX",
            action="append",
            default=[],
            help="a vast network that may relay all the same",
        )
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        directory: Path = options["directory"]
        if not directory.is_dir():
            raise CommandError(f"{directory} is no directory")
        confirmed = [_prefix(text) for text in options["confirm"]]
        system = systems.System(options["system"])
        findings = systems.read(system, directory, runtime.hostname())
        if not findings.wanted and not findings.left:
            raise CommandError(f"{directory} holds nothing that {system} would read")
        with policy_change():
            plan = make_plan(findings, runtime.hostname(), confirmed)
            if options["dry_run"]:
                transaction.set_rollback(True)
            else:
                apply.apply(plan)
        self.report(plan, options)

    def report(self, plan: Plan, options: dict[str, Any]) -> None:
        if options["json"]:
            self.write_json(_as_json(plan, done=not options["dry_run"]))
            return
        made = "would be made" if options["dry_run"] else "made"
        self.section(made, [_line(step) for step in plan.of(Verdict.MAKE)])
        self.section("here already", [_line(step) for step in plan.of(Verdict.SAME)])
        conflicts = [
            f"{_line(step)} (here: {printable(step.here)})" for step in plan.of(Verdict.CONFLICT)
        ]
        self.section("here otherwise and left as it is", conflicts)
        left = [
            f"{each.origin}: {printable(each.text)}\n      {printable(each.reason)}"
            for each in plan.left
        ]
        self.section("not carried over", left)

    def section(self, title: str, lines: Sequence[str]) -> None:
        self.stdout.write(f"{len(lines)} {title}{':' if lines else ''}")
        for line in lines:
            self.stdout.write(f"  {line}")


def _prefix(text: str) -> str:
    try:
        return normalize_prefix(text)
    except ValueError as error:
        raise CommandError(f"--confirm: {error}") from error


def _line(step: Step) -> str:
    words = printable(f": {step.wanted}") if step.wanted else ""
    return f"{step.kind} {printable(step.key)}{words}  [{step.origin}]"


def _as_json(plan: Plan, done: bool) -> dict[str, Any]:
    return {
        "done": done,
        **{verdict.value: [_step(each) for each in plan.of(verdict)] for verdict in Verdict},
        "left": [
            {
                "file": each.origin.file,
                "line": each.origin.line,
                "text": each.text,
                "reason": each.reason,
            }
            for each in plan.left
        ],
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "kind": step.kind.value,
        "key": step.key,
        "wanted": step.wanted,
        "here": step.here,
        "file": step.origin.file,
        "line": step.origin.line,
    }
