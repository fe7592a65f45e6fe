"""What a Sieve script costs: twenty rules as people write them, over a message of 4 KiB.

    python -m tests.bench.sieve [--rounds 5]

Each evaluation reads the message anew, as a delivery does. No rule but the last one matches, so
that all are gone through. The target is less than one millisecond of processor time.
"""

import argparse
import statistics
import time

from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.evaluate import Message, Surroundings, evaluate

EVALUATIONS = 500
_SIZE = 4 << 10

_LISTS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")
_RULES = (
    *(f'header :contains "list-id" "<{each}.lists.test>"' for each in _LISTS),
    'address :domain "from" ["shop.test", "sale.test", "offers.test"]',
    'address ["to", "cc"] ["team@example.test", "office@example.test"]',
    'header :contains "subject" ["invoice", "receipt", "bill"]',
    'header :matches "subject" ["[ticket #*]*", "*urgent*"]',
    'header :regex "subject" "(offer|sale) of [0-9]+ days"',
    'header :value "ge" :comparator "i;ascii-numeric" "x-spam-score" "5"',
    'envelope :detail "to" "newsletter"',
    'allof (header :is "x-priority" "1", not address :localpart "from" "noreply")',
    'exists ["x-mailing-list", "x-loop"]',
    "size :over 5M",
    'currentdate :value "ge" "date" "2030-01-01"',
    'header :contains "subject" "quarterly"',
)
SCRIPT = (
    'require ["fileinto", "envelope", "subaddress", "relational", "comparator-i;ascii-numeric",\n'
    '    "regex", "date", "imap4flags"];\n'
    + "".join(f'if {test} {{ fileinto "Folder {n}"; stop; }}\n' for n, test in enumerate(_RULES))
)


def message() -> bytes:
    """A message with the header of mail that came over three hosts."""
    hop = (
        "Received: from relay{0}.example.test (relay{0}.example.test [192.0.2.{0}])\r\n"
        "\tby mx.example.test with ESMTPS id 00{0}; Mon, 2 Mar 2026 10:00:0{0} +0000\r\n"
    )
    header = "".join(hop.format(n) for n in range(1, 4)) + (
        "From: Ann Example <ann@example.test>\r\nTo: Bob Example <bob@example.test>\r\n"
        'Cc: "Carl, of the office" <carl@example.test>\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\n'
        "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= and the quarterly figures\r\n"
        "Message-ID: <20260302100000.1@example.test>\r\nX-Spam-Score: 1\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    )
    text = "The figures of the quarter are attached, as they are every time.\r\n"
    return (header + text * (_SIZE // len(text) + 1)).encode()[:_SIZE]


def evaluation() -> float:
    """Milliseconds of one evaluation, the mean of many."""
    program, content = compile_script(SCRIPT), message()
    surroundings = Surroundings(at=1_772_445_600.0)
    started = time.process_time()
    for _ in range(EVALUATIONS):
        found = evaluate(program, Message(content, "ann@x.test", "bob@x.test"), surroundings)
        if found.error or len(found.actions) != 1:
            raise SystemExit(f"the script failed: {found.error}")
    return 1000 * (time.process_time() - started) / EVALUATIONS


def compilation() -> float:
    """Milliseconds of compiling the script once."""
    started = time.process_time()
    for _ in range(EVALUATIONS // 10):
        compile_script(SCRIPT)
    return 10_000 * (time.process_time() - started) / EVALUATIONS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    for name, measure in (("evaluating", evaluation), ("compiling", compilation)):
        times = [measure() for _ in range(rounds)]
        print(
            f"{name} {len(_RULES)} rules: {min(times):.2f}/{statistics.median(times):.2f}"
            f"/{max(times):.2f} ms (minimum/median/maximum of {rounds})"
        )


if __name__ == "__main__":
    main()
