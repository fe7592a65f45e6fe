"""uucp set|list|remove: the neighbours that take mail by UUCP."""

from mta.management.list_command import ListCommand
from mta.models import UucpNeighbor


class Command(ListCommand):
    help = "Set, list or remove UUCP neighbours: a node, or a path such as food!fruits."
    model = UucpNeighbor
    key = "path"
    noun = "UUCP neighbour"
    columns = ("flags", "note")
