"""Programs that mail is piped to: their arguments, and the message as they read it."""

import pytest

from mta.protocol.program import (
    Envelope,
    Program,
    UnsafeArgument,
    arguments_for,
    check_arguments,
    content_for,
)

CONTENT = b"Subject: x\r\n\r\nHello\r\n"


def envelope(*recipients: str, sender: str = "bert@example.net") -> Envelope:
    return Envelope(sender, recipients or ("ann+lists@example.com",), "00QUEUE", 21, 0.0)


def filled(*arguments: str, **fields) -> list[str]:
    recipients = fields.pop("recipients", ())
    program = Program("p", ("/bin/program", *arguments))
    return arguments_for(program, envelope(*recipients, **fields))[1:]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("${sender}", "bert@example.net"),
        ("${recipient}", "ann+lists@example.com"),
        ("${user}", "ann"),
        ("${mailbox}", "ann+lists"),
        ("${extension}", "lists"),
        ("${domain}", "example.com"),
        ("${queue_id}", "00QUEUE"),
        ("${size}", "21"),
        ("-f${sender}", "-fbert@example.net"),
        ("${user}/${domain}", "ann/example.com"),
        ("$${user}", "${user}"),
        ("$1 $$ $x", "$1 $$ $x"),
    ],
)
def test_placeholders(argument, expected):
    assert filled(argument) == [expected]


def test_a_recipients_argument_is_there_for_each_recipient():
    recipients = ("a@example.com", "b@example.com")
    words = filled("-f", "${sender}", "--", "<${recipient}>", recipients=recipients)
    assert words == ["-f", "bert@example.net", "--", "<a@example.com>", "<b@example.com>"]


def test_what_an_address_holds_stays_in_one_argument():
    evil = '"$(id) `id`; rm -rf /"@example.com'
    assert filled("${recipient}", recipients=(evil[1:].replace('"@', "@"),)) == [evil]
    assert filled("${sender}", sender="${recipient}@example.com") == ["${recipient}@example.com"]


def test_the_null_sender_is_a_word():
    assert filled("-f${sender}", sender="") == ["-fMAILER-DAEMON"]


@pytest.mark.parametrize("recipient", ["-rf@example.com", "-oQ/tmp@example.com"])
def test_an_address_is_never_an_option(recipient):
    for argument in ("${recipient}", "${user}", "${mailbox}"):
        with pytest.raises(UnsafeArgument, match="option"):
            filled(argument, recipients=(recipient,))
    assert filled("--to=${recipient}", recipients=(recipient,)) == [f"--to={recipient}"]


def test_an_extension_is_no_option_either():
    with pytest.raises(UnsafeArgument):
        filled("${extension}", recipients=("ann+-x@example.com",))


def test_control_characters_reach_no_program():
    with pytest.raises(UnsafeArgument, match="control"):
        filled("${user}", recipients=("a\nb@example.com",))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "absolute path"),
        (["program"], "absolute path"),
        (["/bin/${user}"], "cannot depend"),
        (["/bin/x", "${recipients}"], "not one of"),
        (["/bin/x", "${}"], "not one of"),
        (["/bin/x", "a\0b"], "NUL"),
        (["/bin/x", *["y"] * 100], "more than"),
    ],
)
def test_arguments_that_cannot_work(arguments, why):
    with pytest.raises(ValueError, match=why):
        check_arguments(arguments)


def test_the_form_of_the_message():
    plain = Program("p", ("/x",), return_path=False, delivered_to=False)
    assert content_for(plain, envelope(), CONTENT) == b"Subject: x\n\nHello\n"
    full = Program("p", ("/x",), crlf=True, from_line=True)
    assert content_for(full, envelope("a@example.com", "b@example.com"), CONTENT) == (
        b"From bert@example.net Thu Jan  1 00:00:00 1970\r\n"
        b"Return-Path: <bert@example.net>\r\n"
        b"Delivered-To: a@example.com\r\nDelivered-To: b@example.com\r\n" + CONTENT
    )
