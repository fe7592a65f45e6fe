"""`route`: senders, users, exceptions, and Courier's file."""

import io

import pytest
from django.core.management.base import CommandError

from mta import runtime
from mta.models import PolicyChange, Route

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_directory")]

SECRET = "s3cret=pass word"


@pytest.fixture
def say(monkeypatch):
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.fixture
def signed_in(run, say) -> Route:
    say(f"{SECRET}\n")
    arguments = ("--security", "REQUIRED", "--user", "ann", "--password-stdin")
    run("route", "set", "*", "smart.test:587", *arguments)
    return Route.objects.get()


def test_a_password_is_kept_and_never_shown(run, signed_in):
    assert signed_in.credentials().password == SECRET
    assert SECRET not in signed_in.password
    for shown in (run("route", "list"), run("route", "list", "--json"), run("route", "export")):
        assert "ann" in shown
        assert SECRET not in shown
        assert signed_in.password not in shown
    for change in PolicyChange.objects.filter(table="mta_route"):
        assert "password" not in change.after


def test_the_transport_gets_the_credentials_of_the_route(signed_in):
    runtime.directory().refresh()
    assert runtime.route("bob@x.test", "") == (
        "esmtp",
        f"relay:smart.test:587/REQUIRED/AUTH={signed_in.pk}",
    )
    credentials = runtime.directory().credentials(signed_in.pk)
    assert credentials is not None
    assert (credentials.user, credentials.password) == ("ann", SECRET)
    assert SECRET not in repr(credentials)
    assert runtime.directory().credentials(signed_in.pk + 1) is None


def test_a_password_of_another_installation_is_of_no_use(signed_in, settings):
    settings.SECRET_KEY = "another"
    assert runtime.directory().credentials(signed_in.pk) is None


def test_another_relay_does_not_get_the_old_password(run, signed_in):
    run("route", "set", "*", "other.test:587", "--security", "REQUIRED")
    route = Route.objects.get()
    assert (route.user, route.password) == ("", "")


@pytest.mark.parametrize(
    ("arguments", "trouble"),
    [
        (("relay.test",), "choose REQUIRED"),
        (("relay.test", "--security", "NONE"), "loopback"),
        (("[192.0.2.1]", "--security", "NONE"), "loopback"),
        (("mx", "--security", "REQUIRED"), "no relay"),
        (("discard", "--security", "REQUIRED"), "no relay"),
    ],
)
def test_a_password_needs_protection_and_a_relay(run, say, arguments, trouble):
    say(SECRET)
    with pytest.raises(CommandError, match=trouble):
        run("route", "set", "x.test", *arguments, "--user", "ann", "--password-stdin")
    assert not Route.objects.exists()


@pytest.mark.parametrize("more", [("--user", "ann"), ("--password-stdin",)])
def test_user_and_password_go_together(run, more):
    with pytest.raises(CommandError, match="go together"):
        run("route", "set", "x.test", "relay.test", "--security", "REQUIRED", *more)


def test_an_empty_password_is_none(run, say):
    say("\n")
    arguments = ("--security", "REQUIRED", "--user", "ann", "--password-stdin")
    with pytest.raises(CommandError, match="needs a password"):
        run("route", "set", "x.test", "relay.test", *arguments)


def test_in_clear_to_this_machine_when_it_is_said(run, say):
    say(SECRET)
    arguments = ("--security", "NONE", "--user", "ann", "--password-stdin")
    run("route", "set", "x.test", "127.0.0.1:2525", *arguments)
    assert Route.objects.get().user == "ann"


def test_routes_of_senders_stand_beside_the_others(run, listed):
    run("route", "set", "*", "smart.test")
    run("route", "set", "*", "acme-relay.test", "--sender", "Acme.Test")
    run("route", "set", "x.test", "mx", "--sender", "Ann@Acme.Test", "--ipv4only")
    runtime.directory().refresh()
    assert runtime.route("b@x.test", "")[1] == "relay:smart.test:25"
    assert runtime.route("b@x.test", "bob@acme.test")[1] == "relay:acme-relay.test:25"
    assert runtime.route("b@x.test", "ann@acme.test")[1] == "mx:x.test/IPV4ONLY"
    assert [row["sender"] for row in listed("route", "list")] == ["", "acme.test", "ann@acme.test"]
    run("route", "remove", "*", "--sender", "acme.test")
    assert Route.objects.count() == 2
    with pytest.raises(CommandError, match="no route"):
        run("route", "remove", "*", "--sender", "acme.test")


@pytest.mark.parametrize("sender", ["@acme.test", "a@b@", "..", "ann@"])
def test_a_sender_that_is_none(run, sender):
    with pytest.raises(CommandError, match="sender"):
        run("route", "set", "*", "relay.test", "--sender", sender)


FILE = """\
# ours
a.test: relay.test,2525/SECURITY=REQUIRED
.a.test: [192.0.2.1]/IPV4ONLY
direct.test:
: smart.test/SECURITY=STARTTLS
"""


def test_a_file_goes_in_and_comes_out_again(run, tmp_path):
    path = tmp_path / "esmtproutes"
    path.write_text(FILE)
    assert "4 routes" in run("route", "import", str(path))
    first = run("route", "export")
    assert sorted(first.splitlines()) == sorted(
        [
            "a.test: relay.test,2525/SECURITY=REQUIRED",
            "direct.test: ",
            ".a.test: [192.0.2.1]/IPV4ONLY",
            ": smart.test/SECURITY=STARTTLS",
        ]
    )
    path.write_text(first)
    run("route", "import", str(path))
    assert run("route", "export") == first


def test_a_file_with_a_fault_changes_nothing(run, say):
    say("a.test: relay.test\nb.test relay.test\n")
    with pytest.raises(CommandError, match="line 2"):
        run("route", "import", "-")
    assert not Route.objects.exists()


def test_the_file_form_says_what_it_cannot_say(run, signed_in):
    run("route", "set", "x.test", "discard")
    exported = run("route", "export")
    assert "# not in this form: x.test to discard" in exported
    assert "# signs in as ann" in exported
    assert ": smart.test,587/SECURITY=REQUIRED" in exported


@pytest.mark.parametrize(
    ("text", "nexthop"),
    [
        ("Backup.Test", "relay:backup.test:25"),
        ("[::1]:26", "relay:[::1]:26"),
        ("", ""),
    ],
)
def test_the_backup_relay(run, text, nexthop):
    run("setting", "set", "backuprelay", text)
    runtime.directory().refresh()
    assert runtime.directory().backuprelay == nexthop


def test_a_backup_relay_that_is_none(run):
    with pytest.raises(CommandError, match="backuprelay"):
        run("setting", "set", "backuprelay", "not a host")


def test_a_route_names_another_transport(run):
    assert run("route", "set", "dove.test", "lmtp:[127.0.0.1]") == (
        "dove.test to lmtp:[127.0.0.1]:24\n"
    )
    runtime.directory().refresh()
    assert runtime.directory().nexthop("bob@dove.test") == "lmtp:[127.0.0.1]:24"
    assert "# not in this form: dove.test" in run("route", "export")


@pytest.mark.parametrize(
    ("arguments", "trouble"),
    [
        (("lmtp:/run/../x",), "path of a socket"),
        (("uucp:a;b",), "NODE"),
        (("lmtp:/run/lmtp", "--security", "REQUIRED"), "SMTP relays"),
    ],
)
def test_a_target_that_is_none(run, arguments, trouble):
    with pytest.raises(CommandError, match=trouble):
        run("route", "set", "dove.test", *arguments)
