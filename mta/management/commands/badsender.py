"""badsender set|list|remove: return addresses whose mail is refused."""

from mta.management.list_command import ListCommand
from mta.models import BadSender


class Command(ListCommand):
    help = "Set, list or remove refused senders: user@domain, @domain, @.domain or user@.domain."
    model = BadSender
    key = "pattern"
    noun = "bad sender"
    columns = ("note",)
