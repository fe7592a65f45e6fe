"""Bang paths and our addresses, there and back; the vectors are Courier's own."""

import pytest

from mta.protocol.bang_path import BadPath, Neighbourhood, Way

HOME = "mail.example.com"
TOWN = Neighbourhood(
    me="example",
    home=HOME,
    domains=frozenset({"other.example.com"}),
    neighbours={"zilch": "", "food": "F", "green": "G", "rose": "R", "rose!bush": "", "ivy": ""},
)


@pytest.mark.parametrize(
    ("path", "system", "user"),
    [
        ("zilch!addr", "zilch", "addr"),
        ("zilch!first.last", "zilch", "first.last"),
        ("example!zilch!addr", "zilch", "addr"),
        ("food!banana", "food", "banana"),
        ("food!fruits!banana", "food!fruits", "banana"),
        ("food!fruits!red!apple", "food!fruits!red", "apple"),
        # The manual; Courier's code treats G like F.
        ("green!its!drink", "green", "its!drink"),
        ("green!drink", "green", "drink"),
        ("rose!bush!thorn", "rose", "bush!thorn"),
        ("rose!petal", "rose", "petal"),
    ],
)
def test_a_path_leads_to_a_system(path: str, system: str, user: str) -> None:
    assert TOWN.way(path) == Way(system, user)


@pytest.mark.parametrize("path", ["local", "stranger!addr", "!zilch!addr", "domain.com!someone"])
def test_a_path_that_begins_elsewhere_is_no_business_of_uucp(path: str) -> None:
    assert TOWN.way(path) is None


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("zilch!more!addr", "unknown"),
        ("rose!byanyother!name", "unknown"),
        ("ivy!food!banana", "unknown"),
        ("zilch!addr!", "invalid"),
        ("zilch!!addr", "invalid"),
        ("zilch!", "invalid"),
        ("food!-oQ!addr", "invalid"),
        ("food!a b!addr", "invalid"),
        ("food!" * 17 + "addr", "invalid"),
    ],
)
def test_a_path_that_leads_nowhere(path: str, words: str) -> None:
    with pytest.raises(BadPath, match=words):
        TOWN.way(path)


@pytest.mark.parametrize(
    ("address", "path"),
    [
        (f"user@{HOME}", "example!user"),
        ("user@other.example.com", "example!user"),
        ("someone@domain.com", "example!domain.com!someone"),
        (f"zilch!addr@{HOME}", "example!zilch!addr"),
        ("", ""),
    ],
)
def test_senders_as_others_see_them(address: str, path: str) -> None:
    assert TOWN.outside(address) == path


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("example!zilch!addr", f"zilch!addr@{HOME}"),
        ("zilch!addr", f"zilch!addr@{HOME}"),
        ("addr", f"addr@{HOME}"),
        ("example!addr", f"addr@{HOME}"),
        ("green!its!drink", f"green!its!drink@{HOME}"),
        ("domain.com!someone", "someone@domain.com"),
        ("example!domain.com!someone", "someone@domain.com"),
        ("domain.com!a!b", "a!b@domain.com"),
        ("someone@domain.com", "someone@domain.com"),
    ],
)
def test_paths_from_outside(path: str, address: str) -> None:
    assert TOWN.inside(path) == address


@pytest.mark.parametrize("path", ["a!!b", "!b", "a!"])
def test_holes_in_a_path(path: str) -> None:
    with pytest.raises(BadPath):
        TOWN.inside(path)


def test_what_goes_out_comes_back() -> None:
    for address in (f"user@{HOME}", "someone@domain.com", f"zilch!addr@{HOME}", "a!b@far.org"):
        assert TOWN.inside(TOWN.outside(address)) == address


@pytest.mark.parametrize("path", ["", "<>", "MAILER-DAEMON", "zilch!MAILER-DAEMON"])
def test_programs_have_no_return_path(path: str) -> None:
    assert TOWN.sender(path) == ""


@pytest.mark.parametrize(
    ("system", "address", "there"),
    [
        ("zilch", f"zilch!addr@{HOME}", "addr"),
        ("zilch", f"example!zilch!addr@{HOME}", "addr"),
        ("food!fruits", f"food!fruits!banana@{HOME}", "banana"),
        ("green", f"green!its!drink@{HOME}", "its!drink"),
        # A route of its own sends a whole domain there.
        ("zilch", "user@far.example", "far.example!user"),
    ],
)
def test_recipients_as_their_system_sees_them(system: str, address: str, there: str) -> None:
    assert TOWN.at(system, address) == there


def test_headers_name_everybody_as_seen_from_there() -> None:
    assert TOWN.header("zilch", f"zilch!addr@{HOME}") == "addr"
    assert TOWN.header("zilch", f"ann@{HOME}") == "example!ann"
    assert TOWN.header("zilch", "user@far.example") == "example!far.example!user"
