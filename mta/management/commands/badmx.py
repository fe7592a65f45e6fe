"""badmx set|list|remove: addresses that no sender's MX may have."""

from mta.management.list_command import ListCommand
from mta.models import BadMailHost


class Command(ListCommand):
    help = "Set, list or remove addresses and networks that no MX of a sender's domain may have."
    model = BadMailHost
    key = "network"
    noun = "bad mail host"
    columns = ("note",)
