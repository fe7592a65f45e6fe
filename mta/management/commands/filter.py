"""filter set|list|remove|check|test: the administrator's filters (docs/filters.md)."""

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta import runtime, site_filters
from mta.explain import as_received
from mta.filters import chain
from mta.filters.base import Trouble
from mta.filters.registry import kinds
from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.policy_change import policy_change
from mta.management.quantity import format_duration
from mta.management.target_command import duration
from mta.models import SiteFilter
from mta.protocol.envelope import Source
from mta.protocol.filter_words import ChainVerdict
from mta.protocol.site_filter import FilterRequest, FilterStage

SOURCES = ("esmtp", "submission", "local", "uucp")
_PLAIN = ("kind", "stage", "state", "position", "on_trouble", "timeout", "mandatory", "note")


class Command(ApplianceCommand):
    help = (
        "Set, list, remove, check and try site filters: "
        "filter set no-exe --kind sieve --text no-exe.sieve --state enforce"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(
            dest="verb", required=True, metavar="set|list|remove|check|test"
        )
        _add_set(verbs.add_parser("set", help="add or change a filter"))
        add_json(verbs.add_parser("list", help="list them in the order in which they are asked"))
        verbs.add_parser("remove", help="take a filter away").add_argument("name")
        verbs.add_parser("check", help="whether all of them can work")
        _add_test(verbs.add_parser("test", help="what the content filters say of a message"))

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "set":
                self.set(options)
            case "list":
                self.show([_row(row) for row in SiteFilter.objects.all()], options["json"])
            case "remove":
                self.remove(options["name"])
            case "check":
                self.check_all()
            case "test":
                self.test(options)

    def set(self, options: dict[str, Any]) -> None:
        name = options["name"]
        with policy_change():
            row = SiteFilter.objects.filter(name=name).first() or SiteFilter(name=name)
            for field in _PLAIN:
                if options[field] is not None:
                    setattr(row, field, options[field])
            if options["sources"] is not None:
                for source in SOURCES:
                    setattr(row, source, source in options["sources"])
            if options["text"] is not None:
                row.text = _read(options["text"]).decode("utf-8", "replace")
            if options["option"] is not None:
                row.options = {**row.options, **_options(row.kind, options["option"])}
            row.full_clean()
            site_filters.check(row)
            row.save()
        self.stdout.write(f"{name}: {row.get_stage_display()}, {row.get_state_display().lower()}")

    def remove(self, name: str) -> None:
        with policy_change():
            removed, _ = SiteFilter.objects.filter(name=name).delete()
        if not removed:
            raise CommandError(f"there is no filter {name}")
        self.stdout.write(f"{name} is removed")

    def check_all(self) -> None:
        found = site_filters.problems(SiteFilter.objects.all())
        for row, sentence in found:
            self.stdout.write(f"{row.name} ({row.kind}): {sentence}")
        if found:
            raise CommandError(f"cannot work: {len(found)} of the filters")
        self.stdout.write("all filters can work")

    def test(self, options: dict[str, Any]) -> None:
        """Those that only log are asked, too; nothing is queued or recorded."""
        policy = runtime.directory().refresh()
        source = Source(options["source"])
        request = FilterRequest(
            stage=FilterStage.CONTENT,
            source=source,
            hostname=policy.hostname,
            client_ip=options["client"],
            helo=options["helo"],
            auth_user=options["user"],
            reverse_path=options["sender"],
            recipients=tuple(options["to"]),
            content=as_received(_read(options["file"])),
            at=time.time(),
            rehearsal=True,
        )
        terms = policy.filters_at(FilterStage.CONTENT, source)
        self._tell(asyncio.run(chain.run(terms, request)), options["json"])

    def _tell(self, said: ChainVerdict, as_json: bool) -> None:
        rows = [
            {
                "filter": word.name,
                "kind": word.kind,
                "state": word.state.value,
                "verdict": word.verdict,
                "ms": word.milliseconds,
                "reply": str(word.reply or ""),
                "detail": word.detail,
            }
            for word in said.words
        ]
        self.show(rows, as_json)
        if as_json:
            return
        for address, refused in said.refused.items():
            self.stdout.write(f"{address}: {refused.reply} ({refused.filter})")
        for each in said.dispositions:
            self.stdout.write(f"{each.action.value} by {each.filter}")
        verdict = str(said.refusal.reply) if said.refusal else "accepted"
        self.stdout.write(f"the message would be: {verdict}")


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--kind", help=f"what it is: {', '.join(kinds)}")
    parser.add_argument("--stage", choices=SiteFilter.Stage.values)
    parser.add_argument("--state", choices=SiteFilter.State.values)
    parser.add_argument("--position", type=int, help="lower ones are asked first")
    parser.add_argument("--sources", nargs="+", choices=SOURCES, help="the mail it is asked about")
    parser.add_argument("--on-trouble", choices=SiteFilter.OnTrouble.values)
    parser.add_argument("--timeout", type=duration, help="how long it may take: 30s")
    parser.add_argument("--mandatory", action=argparse.BooleanOptionalAction)
    parser.add_argument("--text", metavar="FILE", help="its text; - for standard input")
    parser.add_argument(
        "--option", action="append", metavar="NAME=VALUE", help="of its kind; a list one by one"
    )
    parser.add_argument("--note")


def _add_test(parser: CommandParser) -> None:
    parser.add_argument("file", help="the message; - for standard input")
    parser.add_argument("--from", dest="sender", default="", help="the reverse-path")
    parser.add_argument("--to", nargs="+", default=[], help="the recipients")
    parser.add_argument("--client", default="", metavar="IP")
    parser.add_argument("--helo", default="")
    parser.add_argument("--user", default="", help="who has signed in")
    parser.add_argument("--source", choices=SOURCES, default="esmtp")
    add_json(parser)


def _options(kind: str, words: list[str]) -> dict[str, Any]:
    try:
        return site_filters.options_from(kinds.find(kind), words)
    except (Trouble, ValueError) as error:
        raise CommandError(str(error)) from error


def _read(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error


def _row(row: SiteFilter) -> dict[str, Any]:
    return {
        "position": row.position,
        "name": row.name,
        "kind": row.kind,
        "stage": row.stage,
        "state": row.state,
        "sources": sorted(source.value for source in row.sources()),
        "on_trouble": row.on_trouble,
        "timeout": format_duration(row.timeout),
        "mandatory": row.mandatory,
        "options": row.options,
        "note": row.note,
    }
