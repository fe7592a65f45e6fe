"""Variable envelope return paths: Courier's vectors, and that they can be read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.protocol import verp
from mta.protocol.envelope import DOUBLE_BOUNCE_SENDER

LIST = "list@s.org"
VECTORS = {
    "bob@x.net": "list-bob=x.net@s.org",
    "a+b@x.net": "list-a+2Bb=x.net@s.org",
    "a=b@x.net": "list-a=b=x.net@s.org",
    "u%v@x.net": "list-u+25v=x.net@s.org",
    "h!u@x.net": "list-h+21u=x.net@s.org",
    "u@[10.0.0.1]": "list-u=+5B10.0.0.1+5D@s.org",
    "u@[IPv6:::1]": "list-u=+5BIPv6+3A+3A+3A1+5D@s.org",
    "q@r@x.net": "list-q+40r=x.net@s.org",
    "a-b@c-d.org": "list-a+2Db=c+2Dd.org@s.org",
    "büro@x.net": "list-büro=x.net@s.org",
}


@pytest.mark.parametrize(("recipient", "path"), VECTORS.items())
def test_couriers_vectors_in_both_directions(recipient: str, path: str) -> None:
    assert verp.encode(LIST, recipient) == path
    assert verp.decode(path) == (LIST, recipient)


@pytest.mark.parametrize(
    ("recipient", "path"), [("h!u", "list-h+21u@s.org"), ("h!u=v", "list-h+21u+3Dv@s.org")]
)
def test_a_recipient_without_domain_has_no_separator(recipient: str, path: str) -> None:
    assert verp.encode(LIST, recipient) == path


def test_the_sender_keeps_its_own_hyphens() -> None:
    path = verp.encode("itny-out@domain.com", "dave+priority@new.example.com")
    assert path == "itny-out-dave+2Bpriority=new.example.com@domain.com"
    assert verp.decode(path) == ("itny-out@domain.com", "dave+priority@new.example.com")


@pytest.mark.parametrize("sender", ["", "uucp!path", DOUBLE_BOUNCE_SENDER])
def test_a_sender_that_cannot_be_varied_stays(sender: str) -> None:
    assert verp.encode(sender, "bob@x.net") == sender
    assert not verp.is_possible(sender)


@pytest.mark.parametrize(
    ("path", "recipient"),
    [("list-a+2bb=x.net@s.org", "a+b@x.net"), ("list-a+2Fb=x.net@s.org", "a/b@x.net")],
)
def test_what_others_encode_is_understood_too(path: str, recipient: str) -> None:
    assert verp.decode(path) == (LIST, recipient)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "list",
        "list@s.org",
        "list-bob@s.org",
        "-bob=x.net@s.org",
        "list-=x.net@s.org",
        "list-bob=@s.org",
        "list-bob=x.net@",
        "list-b+2=x.net@s.org",
        "list-b+zz=x.net@s.org",
        "list-b+0A=x.net@s.org",
        "list-b+FF=x.net@s.org",
        "list-bob=x.net+@s.org",
    ],
)
def test_what_is_no_such_path_is_none(address: str) -> None:
    assert verp.decode(address) is None


texts = st.text(st.characters(min_codepoint=0x21, blacklist_categories=("Cs", "Cc")), min_size=1)


@given(texts, texts.filter(lambda host: "@" not in host))
def test_every_recipient_comes_back(local: str, host: str) -> None:
    recipient = f"{local}@{host}"
    assert verp.decode(verp.encode("my-list@s.org", recipient)) == ("my-list@s.org", recipient)


@given(st.text())
def test_decoding_never_fails(address: str) -> None:
    decoded = verp.decode(address)
    assert decoded is None or all("@" in each for each in decoded)


@pytest.mark.parametrize(
    ("keyword", "offered"),
    [
        ({"XVERP": "Courier"}, True),
        ({"XVERP": "other,COURIER"}, True),
        ({"XVERP": ""}, False),
        ({"XVERP": "+="}, False),
        ({}, False),
    ],
)
def test_only_the_word_courier_says_that_a_peer_encodes_as_we_do(keyword, offered) -> None:
    assert verp.is_offered(keyword) is offered
