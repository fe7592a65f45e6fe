"""reporttext set|list|remove|preview: the wording of delivery reports."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.policy_change import policy_change
from mta.models import ReportText
from mta.protocol.dsn_text import TEXTS


class Command(ApplianceCommand):
    help = "Set, list, preview or remove texts of delivery reports."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="set|list|remove|preview")
        set_ = verbs.add_parser("set", help="say it in other words")
        set_.add_argument("name", choices=list(TEXTS))
        set_.add_argument("text")
        add_json(verbs.add_parser("list", help="all texts, and which are replaced"))
        remove = verbs.add_parser("remove", help="go back to the built-in text")
        remove.add_argument("name", choices=list(TEXTS))
        preview = verbs.add_parser("preview", help="show a text with sample facts")
        preview.add_argument("name", choices=list(TEXTS))
        preview.add_argument("text", nargs="?", help="these words instead of those in force")

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "set":
                self.set(options["name"], options["text"])
            case "list":
                self.show(_rows(), options["json"])
            case "remove":
                self.remove(options["name"])
            case "preview":
                self.preview(options["name"], options["text"])

    def set(self, name: str, words: str) -> None:
        with policy_change():
            row = ReportText.objects.filter(name=name).first() or ReportText(name=name)
            row.text = words
            row.full_clean()
            row.save()
        self.stdout.write(TEXTS[name].preview(row.text))

    def remove(self, name: str) -> None:
        with policy_change():
            removed, _ = ReportText.objects.filter(name=name).delete()
        if not removed:
            raise CommandError(f"{name} is the built-in text already")
        self.stdout.write(f"{name} is the built-in text again")

    def preview(self, name: str, words: str | None) -> None:
        if words is None:
            stored = ReportText.objects.filter(name=name).values_list("text", flat=True).first()
            words = stored or TEXTS[name].default
        problem = TEXTS[name].problem(words)
        if problem:
            raise CommandError(problem)
        self.stdout.write(TEXTS[name].preview(words))


def _rows() -> list[dict[str, Any]]:
    replaced = dict(ReportText.objects.values_list("name", "text"))
    return [
        {
            "name": text.name,
            "replaced": text.name in replaced,
            "text": replaced.get(text.name, text.default),
            "placeholders": list(text.placeholders),
        }
        for text in TEXTS.values()
    ]
