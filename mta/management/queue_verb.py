"""The commands that act on the queue by queue id: what they share."""

from collections.abc import Sequence

from django.core.management.base import CommandError

from mta.management.appliance_command import message_ids
from mta.models import Message
from mta.protocol.queue_id import encode_queue_id
from mta.queue.control import Selection


def select(queue_ids: Sequence[str], everything: bool = False) -> Selection:
    """The recipients of these messages, or everything that is live.

    Raises CommandError when neither or both are named, or a message does not exist.
    """
    if bool(queue_ids) == everything:
        raise CommandError("name queue ids, or --all for the whole queue")
    ids = message_ids(queue_ids)
    known = set(Message.objects.filter(id__in=ids).values_list("id", flat=True))
    for message_id in ids:
        if message_id not in known:
            raise CommandError(f"there is no message {encode_queue_id(message_id)}")
    return Selection(message_ids=ids)


def recipients(count: int) -> str:
    return f"{count} recipient{'' if count == 1 else 's'}"
