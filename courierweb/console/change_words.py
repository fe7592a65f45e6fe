"""How a change of the policy is called: the kind of row, and the row itself."""

from typing import Any

from django.apps import apps

from mta.models import DeliveryLimit, Domain, Mailbox, PolicyChange

# The column that a row is known by, in order of preference.
_NAMES = ("name", "prefix", "zone", "pattern", "rule", "network", "address", "domain", "path")
# A limit has no name of its own.
_LIMIT = ("scope", "transport", "nexthop")


def table_name(change: PolicyChange) -> str:
    """ "access rule", for people."""
    for model in apps.get_app_config("mta").get_models():
        if model._meta.db_table == change.table:
            return str(model._meta.verbose_name)
    return change.table


def change_subject(change: PolicyChange) -> str:
    """The name of the changed row, as its own page calls it."""
    row = change.after or change.before or {}
    if "local_part" in row:
        domain = Domain.objects.filter(pk=row.get("domain_id")).first()
        return f"{row['local_part']}@{domain or '(deleted domain)'}"
    if "mailbox_id" in row:
        return f"{_mailbox(row['mailbox_id'])} as {row.get('pattern', '')}"
    if change.table == DeliveryLimit._meta.db_table:
        return str(DeliveryLimit(**{name: row.get(name, "") for name in _LIMIT}))
    return next((str(row[name]) for name in _NAMES if row.get(name)), "")


def _mailbox(key: Any) -> str:
    mailbox = Mailbox.objects.select_related("domain").filter(pk=key).first()
    return mailbox.address if mailbox else "(deleted mailbox)"
