"""access set|list|remove: what client networks may do."""

import argparse
from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.policy_change import policy_change
from mta.management.quantity import format_size, parse_size
from mta.models import AccessRule, CheckHelo, MimeMode
from mta.models.access import normalize_prefix

SWITCHES = {
    "auth_required": "only users may send",
    "tls_required": "no mail in clear",
    "checkdns": "look up the sender's domain",
    "spf": "ask SPF",
    "dnslists": "ask the DNS lists",
    "tarpit": "answer errors slowly",
    "exdata": "tell each recipient's verdict after DATA (558) unasked: a Courier server",
}
# What a rule may leave to its listener and to the settings.
TERMS = (*SWITCHES, "checkhelo", "sizelimit", "maxperip", "mime")


class Command(ApplianceCommand):
    help = "Set, list or remove what client networks may do."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="set|list|remove")
        set_ = verbs.add_parser("set", help="say what a network may do")
        set_.add_argument("prefix", help="an address or a network such as 192.0.2.0/24")
        set_.add_argument("action", choices=AccessRule.Action.values)
        set_.add_argument("relay", nargs="?", choices=["relay"], help="may send anywhere")
        set_.add_argument("--text", help="what a blocked or denied client reads")
        set_.add_argument("--note")
        _add_terms(set_)
        set_.add_argument(
            "--confirm", metavar="PREFIX", help="the prefix again, for relaying by a vast network"
        )
        add_json(verbs.add_parser("list", help="list the rules"))
        remove = verbs.add_parser("remove", help="take a rule away")
        remove.add_argument("prefix")

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "set":
                self.set(options)
            case "list":
                self.list(options["json"])
            case "remove":
                self.remove(options["prefix"])

    def set(self, options: dict[str, Any]) -> None:
        prefix = stored_prefix(options["prefix"])
        with policy_change():
            rule = AccessRule.objects.filter(prefix=prefix).first() or AccessRule(prefix=prefix)
            rule.action = options["action"]
            rule.relay = options["relay"] == "relay"
            for name, value in _given(options).items():
                setattr(rule, name, value)
            rule.full_clean()
            if rule.is_wide_relay and options["confirm"] != options["prefix"]:
                raise CommandError(
                    f"{prefix} is a large part of the Internet; to let all of it relay, add"
                    f" --confirm {options['prefix']}"
                )
            rule.save()
        self.stdout.write(str(rule))

    def list(self, as_json: bool) -> None:
        rules = AccessRule.objects.all()
        if as_json:
            self.write_json([{**_row(rule), "terms": _terms(rule)} for rule in rules])
        else:
            self.show([{**_row(rule), "terms": _terms_text(rule)} for rule in rules], False)

    def remove(self, prefix: str) -> None:
        with policy_change():
            removed, _ = AccessRule.objects.filter(prefix=stored_prefix(prefix)).delete()
        if not removed:
            raise CommandError(f"there is no rule for {prefix}")
        self.stdout.write(f"{prefix} is removed")


def stored_prefix(text: str) -> str:
    """The network as it is stored. Raises CommandError."""
    try:
        return normalize_prefix(text)
    except ValueError as error:
        raise CommandError(str(error)) from error


def _add_terms(set_: argparse.ArgumentParser) -> None:
    """What is not given stays as it is; --unset leaves the word to listener and settings."""
    set_.add_argument(
        "--proxy",
        action=argparse.BooleanOptionalAction,
        help="a load balancer that speaks the PROXY protocol",
    )
    for name, meaning in SWITCHES.items():
        option = f"--{name.replace('_', '-')}"
        set_.add_argument(option, action=argparse.BooleanOptionalAction, help=meaning)
    set_.add_argument("--checkhelo", type=int, choices=CheckHelo.values, help="whether HELO counts")
    set_.add_argument("--sizelimit", metavar="SIZE", help="largest message, such as 20M")
    set_.add_argument("--maxperip", type=int, help="connections of one address; 0 for no limit")
    set_.add_argument("--mime", choices=MimeMode.values, help="what becomes of broken MIME")
    set_.add_argument(
        "--unset", nargs="+", default=[], choices=TERMS, help="as listener and settings say"
    )


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The fields that the options have a word on. Raises CommandError."""
    names = ("text", "note", "proxy", *TERMS)
    given = {name: options[name] for name in names if options[name] is not None}
    if "sizelimit" in given:
        try:
            given["sizelimit"] = parse_size(given["sizelimit"])
        except ValueError as error:
            raise CommandError(f"--sizelimit: {error}") from error
    for name in options["unset"]:
        if name in given:
            raise CommandError(f"{name} is both set and unset")
        given[name] = "" if name == "mime" else None
    return given


def _row(rule: AccessRule) -> dict[str, Any]:
    return {
        "prefix": rule.prefix,
        "action": rule.action,
        "relay": rule.relay,
        "proxy": rule.proxy,
        "text": rule.text,
        "note": rule.note,
    }


def _terms(rule: AccessRule) -> dict[str, Any]:
    """What the rule has a word on."""
    values = {name: getattr(rule, name) for name in TERMS}
    return {name: value for name, value in values.items() if value is not None and value != ""}


def _terms_text(rule: AccessRule) -> str:
    words = []
    for name, value in _terms(rule).items():
        if isinstance(value, bool):
            words.append(name if value else f"no {name}")
        else:
            words.append(f"{name} {format_size(value) if name == 'sizelimit' else value}")
    return ", ".join(words)
