"""Who lives where the fuzzing happens, and with how much patience."""

from django.contrib.auth.hashers import MD5PasswordHasher
from django.db.models import F

from mta.models import Alias, Domain, Mailbox, Settings
from mta.protocol import scram
from tests.fuzz import words

PATIENT = {"maxerrors": 1_000_000, "maxunknown": 1_000_000, "maxdaemons": 10_000}


def settle() -> None:
    """Mailboxes bob, ann and dora (disabled, and small), an alias, a list, a loop."""
    password = MD5PasswordHasher().encode(words.PASSWORD, "salt")
    keys = scram.derive(words.PASSWORD).to_text()
    here = Domain.objects.create(name=words.DOMAIN)
    Domain.objects.create(name=words.BACKUP, kind=Domain.Kind.BACKUP)
    for name in words.MAILBOXES:
        Mailbox.objects.create(
            domain=here,
            local_part=name,
            password=password,
            scram=keys,
            enabled=name != "dora",
            sizelimit=2000 if name == "ann" else 0,
        )
    for name, targets in {
        "friends": [f"bob@{words.DOMAIN}", f"ann@{words.DOMAIN}"],
        "o'hara": [f"o'hara@{words.DOMAIN}"],
    }.items():
        Alias.objects.create(name=f"{name}@{words.DOMAIN}", targets=targets)
    Settings.load()


def be_patient() -> None:
    """No session is ended for its errors, so that everything a session says is heard."""
    # The names of the fuzz are in no DNS. Passwords in clear spare most sessions the handshake.
    change(checkdns=False, auth_in_clear_on_loopback=True, **PATIENT)


def be_strict() -> None:
    """The budgets as they are by default."""
    change(**{name: Settings._meta.get_field(name).get_default() for name in PATIENT})


def stir() -> None:
    """A change of policy that changes nothing a client sees: whatever was remembered of names is
    forgotten, and sessions go on under another version."""
    Settings.objects.update(batchsize=200 - F("batchsize") + 1)


def change(**values: object) -> None:
    Settings.objects.update(**values)
