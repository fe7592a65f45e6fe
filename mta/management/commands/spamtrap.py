"""spamtrap set|list|remove: addresses that nobody honest writes to."""

from mta.management.list_command import ListCommand
from mta.models import SpamTrap


class Command(ListCommand):
    help = "Set, list or remove spam traps: a message that is also for one is refused whole."
    model = SpamTrap
    key = "address"
    noun = "spam trap"
