"""What was found, against what is here: rows to make, rows that are here, and the rest.

Every row goes through the validation of its model, as if an administrator had typed it. Nothing is
written here (`apply`), and nothing that is here is ever changed by an import: a setting counts as
nobody's until somebody has set it to something else than its default.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeAlias

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models

from mta.management.quantity import format_duration, parse_duration, parse_size
from mta.models import (
    AccessRule,
    Alias,
    BadMailHost,
    BadSender,
    DnsList,
    Domain,
    FreemailDomain,
    Mailbox,
    Route,
    Settings,
    SpamTrap,
    UucpNeighbor,
)
from mta.upgrade.findings import DomainKind, Findings, Kind, Left, Origin, Wanted

# Django's fields can be subscripted by type checkers only.
Field: TypeAlias = "models.Field[Any, Any]"

_SECRET = "password"
_WORDS = {"on": True, "1": True, "yes": True, "off": False, "0": False, "no": False}


class Verdict(StrEnum):
    MAKE = "make"
    SAME = "same"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Step:
    """One row: what is wanted and, in a conflict, what is here instead.

    `row` is what is to be saved, None when there is nothing to do.
    """

    kind: Kind
    key: str
    verdict: Verdict
    wanted: str
    here: str
    origin: Origin
    row: models.Model | None = None


@dataclass(slots=True)
class Plan:
    steps: list[Step] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    def of(self, verdict: Verdict) -> list[Step]:
        return [step for step in self.steps if step.verdict is verdict]


@dataclass(frozen=True, slots=True)
class _Table:
    model: type[models.Model]
    key: str


_TABLES = {
    Kind.ALIAS: _Table(Alias, "name"),
    Kind.ROUTE: _Table(Route, "domain"),
    Kind.ACCESS: _Table(AccessRule, "prefix"),
    Kind.BAD_SENDER: _Table(BadSender, "pattern"),
    Kind.BAD_HOST: _Table(BadMailHost, "network"),
    Kind.FREEMAIL: _Table(FreemailDomain, "domain"),
    Kind.SPAM_TRAP: _Table(SpamTrap, "address"),
    Kind.DNS_LIST: _Table(DnsList, "zone"),
    Kind.UUCP: _Table(UucpNeighbor, "path"),
}


class _CannotHave(Exception):
    """There can be no such row; the message says why."""


def make_plan(findings: Findings, hostname: str, confirmed: Collection[str] = ()) -> Plan:
    """Compare with the database. `confirmed` are networks that may relay however wide they are."""
    return _Planner(findings, hostname, confirmed).plan()


class _Planner:
    def __init__(self, findings: Findings, hostname: str, confirmed: Collection[str]) -> None:
        self._findings = findings
        self._hostname = hostname
        self._confirmed = confirmed
        self._plan = Plan(left=list(findings.left))
        self._domains = {row.name: row for row in Domain.objects.all()}
        self._settings = Settings.load()

    def plan(self) -> Plan:
        """Domains first, since mailboxes live in them."""
        self._each(Kind.DOMAIN, self._domain)
        self._mailboxes()
        for kind, table in _TABLES.items():
            self._table(kind, table)
        self._each(Kind.SETTING, self._setting)
        self._plan.left.sort(key=lambda left: (left.origin.file, left.origin.line))
        return self._plan

    def _wanted(self, kind: Kind) -> list[Wanted]:
        return [row for row in self._findings.wanted if row.kind is kind]

    def _each(self, kind: Kind, plan: Callable[[Wanted], None]) -> None:
        for wanted in self._wanted(kind):
            try:
                plan(wanted)
            except (_CannotHave, ValidationError, ValueError) as error:
                reason = wanted.excuse or _sentence(error)
                text = f"{kind} {wanted.key}"
                self._plan.left.append(Left(wanted.origin, text, reason))

    def _domain(self, wanted: Wanted) -> None:
        kind = wanted.values["kind"]
        if wanted.key == self._hostname:
            # Our own name is hosted from the first start on.
            kind = DomainKind.HOSTED
        if wanted.key.startswith(".") and wanted.key.count(".") == 1:
            raise _CannotHave("a whole top-level domain would open the relay to all of it")
        row = Domain(name=wanted.key, kind=Domain.Kind(kind))
        _validate(row)
        self._compare(wanted, row, row.name, self._domains, ["kind"])

    def _mailboxes(self) -> None:
        keys = [row.key for row in self._wanted(Kind.MAILBOX)]
        here = {
            row.address: row
            for row in Mailbox.objects.select_related("domain").filter(
                domain__name__in={key.rpartition("@")[2] for key in keys}
            )
        }

        def plan(wanted: Wanted) -> None:
            local, _, name = wanted.key.rpartition("@")
            domain = self._domains.get(name)
            if domain is None or domain.kind != Domain.Kind.HOSTED:
                raise _CannotHave(f"{name} is no hosted domain here")
            row = Mailbox(domain=domain, local_part=local, **wanted.values)
            _validate(row, ["domain"])
            self._compare(wanted, row, row.address, here, list(wanted.values))

        self._each(Kind.MAILBOX, plan)

    def _table(self, kind: Kind, table: _Table) -> None:
        here = {getattr(row, table.key): row for row in table.model._default_manager.all()}

        def plan(wanted: Wanted) -> None:
            row = table.model(**{table.key: wanted.key}, **wanted.values)
            _validate(row)
            if isinstance(row, AccessRule) and row.is_wide_relay:
                self._check_relay(row)
            self._compare(wanted, row, getattr(row, table.key), here, list(wanted.values))

        self._each(kind, plan)

    def _check_relay(self, rule: AccessRule) -> None:
        if rule.prefix not in self._confirmed:
            raise _CannotHave(
                f"{rule.prefix} is a large part of the Internet; to let all of it relay, add"
                f" --confirm {rule.prefix}"
            )

    def _compare(
        self,
        wanted: Wanted,
        row: models.Model,
        key: str,
        here: dict[str, Any],
        fields: Sequence[str],
    ) -> None:
        """One step; a row to be made is here from then on."""
        known = here.setdefault(key, row)
        if known is row:
            verdict = Verdict.MAKE
        elif all(getattr(known, name) == getattr(row, name) for name in fields):
            verdict = Verdict.SAME
        else:
            verdict = Verdict.CONFLICT
        self._plan.steps.append(
            Step(
                wanted.kind,
                key,
                verdict,
                _text(row, fields),
                _text(known, fields) if verdict is Verdict.CONFLICT else "",
                wanted.origin,
                row if verdict is Verdict.MAKE else None,
            )
        )

    def _setting(self, wanted: Wanted) -> None:
        row = self._settings
        try:
            setting = row._meta.get_field(wanted.key)
        except FieldDoesNotExist as error:
            raise _CannotHave("there is no such setting") from error
        assert isinstance(setting, models.Field)
        before = getattr(row, wanted.key)
        value = setting.clean(_value(setting, wanted.values["text"]), row)
        verdict = Verdict.CONFLICT
        if value == before:
            verdict = Verdict.SAME
        elif before == setting.get_default():
            verdict = Verdict.MAKE
            setattr(row, wanted.key, value)
            self._check_setting(row, wanted.key, before)
        step = Step(
            wanted.kind,
            wanted.key,
            verdict,
            _plain(value),
            _plain(before) if verdict is Verdict.CONFLICT else "",
            wanted.origin,
            row if verdict is Verdict.MAKE else None,
        )
        self._plan.steps.append(step)

    def _check_setting(self, row: Settings, name: str, before: object) -> None:
        """Settings may contradict each other. Raises ValidationError, with the row as it was."""
        try:
            row.clean()
        except ValidationError:
            setattr(row, name, before)
            raise


def _validate(row: models.Model, exclude: Iterable[str] = ()) -> None:
    """What the model demands of one row; that there is one of it, `_compare` sees."""
    row.full_clean(exclude=set(exclude), validate_unique=False, validate_constraints=False)


def _value(setting: Field, text: str) -> timedelta | bool | int | str:
    """As the command `setting set` reads it. Raises ValueError with a sentence."""
    if isinstance(setting, models.DurationField):
        return parse_duration(text)
    if isinstance(setting, models.BooleanField):
        if text.lower() not in _WORDS:
            raise ValueError(f"{text!r} is neither on nor off")
        return _WORDS[text.lower()]
    if isinstance(setting, models.CharField | models.TextField):
        return text
    return parse_size(text)


def _text(row: models.Model, fields: Iterable[str]) -> str:
    """The fields as a person would read them, without what must not be read."""
    words = []
    for name in fields:
        if text := _plain(getattr(row, name)):
            words.append(f"{name} {'(kept)' if name == _SECRET else text}")
    return ", ".join(words)


def _plain(value: object) -> str:
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value)


def _sentence(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return " ".join(dict.fromkeys(error.messages))
    return str(error)
