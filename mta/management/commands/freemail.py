"""freemail set|list|remove: domains whose mail comes only from hosts of theirs."""

from mta.management.list_command import ListCommand
from mta.models import FreemailDomain


class Command(ListCommand):
    help = "Set, list or remove domains whose mail is taken only from hosts that are named in them."
    model = FreemailDomain
    key = "domain"
    noun = "freemail domain"
    columns = ("partners",)
