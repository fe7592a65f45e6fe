"""Whatever a script or a message contains, the evaluation ends soon and does not raise.

What would take long runs into the budget of a second, and is then an error here.
"""

import random

import pytest

from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.evaluate import Message, Result, Surroundings, evaluate
from mta.filters.sieve.syntax import SieveError
from mta.filters.sieve.vocabulary import COMMANDS, TESTS
from tests.support.sieve import REQUIRE_ALL, result

_LONG = b"Subject: " + b"a" * 60_000 + b"\r\n\r\n"

MESSAGES = {
    "nothing": b"",
    "octets": bytes(range(256)) * 50,
    "a subject of a megabyte": b"Subject: " + b"a" * (1 << 20),
    "a hundred thousand fields": b"To: a@b.test\r\n" * 100_000 + b"\r\n",
    "open comments": b"To: " + b"(" * 500_000 + b"\r\n\r\n",
    "commas": b"To: " + b"," * 500_000 + b"\r\n\r\n",
    "open quotes": b"To: " + b'"\\' * 200_000 + b"\r\n\r\n",
    "angles": b"To: " + b"<" * 200_000 + b"@\r\n\r\n",
    "encoded words": b"Subject: " + b"=?utf-8?b?YQ==?= " * 30_000 + b"\r\n\r\n",
    "half words": b"Subject: " + b"=?a?q?" * 50_000 + b"\r\n\r\n",
    "charsets": b"Subject: =?idna?q?x?= =?zip?b?x?= =?\xff?q?x?= =?utf-16?b?2A==?=\r\n\r\n",
    "boundaries": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"\r\n--bb" * 200_000,
    "base64": b"Content-Transfer-Encoding: base64\r\n\r\n" + b"A=" * 500_000,
    "soft breaks": b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=\r\n" * 500_000,
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(name):
    script = (
        'if header :contains "subject" "needle" { stop; } if address "to" "n@x.test" { stop; }'
        'if address :detail "to" "x" { stop; } if date "date" "year" "1" { stop; }'
        'if body :text :contains "needle" { stop; } if body :raw :contains "needle" { stop; }'
        'if header :matches "subject" "*n?edle*" { stop; } if duplicate { stop; }'
        'addheader "X-A" "b"; deleteheader "subject"; vacation "x";'
    )
    found = result(script, MESSAGES[name])
    # A hundred thousand addresses are more comparisons than a script has, which is an answer.
    assert found.error == "" or "more than" in found.error


@pytest.mark.parametrize(
    "key", ["*a" * 2_000 + "*b*", "*" * 5_000 + "b", "*" + "?" * 5_000 + "b*", "?" * 59_999 + "*b"]
)
def test_wildcards(key):
    assert result(f'if header :matches "subject" "{key}" {{ stop; }}', _LONG).error == ""


def test_many_comparisons_end_with_the_budget():
    keys = ", ".join(f'"*a?{n}*"' for n in range(300))
    found = result(f'if header :matches "subject" [{keys}] {{ stop; }}' * 20, _LONG)
    assert [type(each).__name__ for each in found.actions] == ["Keep"]


def test_the_trace_is_bounded():
    found = result(f'if header "subject" "{"x" * 5_000}" {{ }}' * 20, _LONG)
    assert max(len(each.text) for each in found.trace) <= 1_000
    many = result('if header "subject" "x" { }' * 2_000, _LONG)
    assert many.error == "" and len(many.trace) == 1_000


def test_what_the_callers_functions_raise_keeps_the_message():
    def unable(name):
        raise OSError("the disk is away")

    here = Surroundings(has_mailbox=unable)
    found = result('discard; if mailboxexists "a" { }', surroundings=here)
    assert found.error == "the script could not be evaluated"
    assert [type(each).__name__ for each in found.actions] == ["Keep"]


WORDS = (
    *(*COMMANDS, *TESTS, "if", "elsif", "else"),
    *(f":{tag}" for shape in (*COMMANDS.values(), *TESTS.values()) for tag in shape.options),
    *('"subject"', '"to"', '"a@b.test"', '"*"', '"${1}"', '"${a}"', '"gt"', '"year"', '"+0100"'),
    *('"i;ascii-numeric"', '"mailto:a@b.test"', '["a", "b"]', "1", "10K", "text:\nx\n.\n"),
    *("{", "}", "(", ")", ",", ";", ";", ";", "[", "]", "{ keep; }", "# x\n", "/* x */", '"', "\\"),
)


def _random_script(dice):
    return " ".join(dice.choices(WORDS, k=dice.randint(1, 12)))


def _likely_script(dice):
    """One command or test with arguments as its table says, with a mistake now and then."""
    name, shape = dice.choice((*COMMANDS.items(), *TESTS.items()))
    words = [name]
    for tag, option in dice.sample(
        sorted(shape.options.items()), dice.randint(0, len(shape.options))
    ):
        words += [f":{tag}", *([_argument(dice, option.kind)] if option.kind else [])]
    words += [_argument(dice, kind) for kind in shape.arguments]
    if dice.random() < 0.1:
        words.insert(dice.randint(1, len(words)), dice.choice(WORDS))
    text = " ".join(words)
    return f"{text};" if name in COMMANDS else f"if {text} {{ keep; }}"


def _argument(dice, kind):
    if kind.name == "NUMBER":
        return dice.choice(("0", "1", "5", "9999999999", "1M"))
    text = dice.choice(
        (
            "subject",
            "to",
            "from",
            "year",
            "hour",
            "gt",
            "a@b.test",
            "*${1}?",
            "[(a)]",
            "+0100",
            "x/y",
        )
        + (
            "",
            "mailto:a@b.test",
            "i;octet",
            "i;ascii-numeric",
            "\\\\Seen a",
            "1",
            "${a}${global.b}",
        )
    )
    return f'["{text}", "to"]' if kind.name == "STRINGS" and dice.random() < 0.3 else f'"{text}"'


@pytest.mark.parametrize("make", [_random_script, _likely_script])
def test_no_script_breaks_compiler_or_evaluation(make, caplog):
    dice = random.Random(5)
    compiled = 0
    message = Message(
        MESSAGES["charsets"] + b"To: a+b@c.test\r\nDate: 1 Jan 2026\r\n\r\nx", "", "a@b"
    )
    for _ in range(1_000):
        script = "".join(make(dice) for _ in range(dice.randint(1, 2)))
        try:
            program = compile_script(REQUIRE_ALL + script)
        except SieveError as error:
            assert error.line >= 1 and error.column >= 1 and error.text
            continue
        compiled += 1
        assert isinstance(evaluate(program, message), Result)
        assert "a Sieve script failed" not in caplog.text, script
    assert compiled > (200 if make is _likely_script else 0)
