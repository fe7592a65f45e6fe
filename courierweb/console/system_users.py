"""The system's users beneath the list of mailboxes: who gets mail without having one."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from mta import runtime
from mta.address_lookup import NoAddress, look_up
from mta.models import Settings
from mta.system_accounts import gets_mail
from mta.system_users import local_users

MOST = 100


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user of this host's own list. `verdict` says what mail to the address is for."""

    name: str
    uid: int
    home: str
    address: str
    verdict: str


def user_rows() -> list[UserRow] | None:
    """The first users with a number that counts; None when users of the system get no mail."""
    settings = Settings.load()
    if not settings.systemaccounts:
        return None
    return list(islice(_rows(settings.minuid), MOST))


def _rows(minuid: int) -> Iterator[UserRow]:
    for user in local_users():
        if not gets_mail(user, minuid):
            continue
        address = f"{user.name}@{runtime.hostname()}"
        try:
            verdict = look_up(address).verdict
        except NoAddress as error:
            verdict = str(error)
        yield UserRow(user.name, user.uid, user.home, address, verdict)
