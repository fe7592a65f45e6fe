"""Sieve scripts in tests: compile, evaluate, and the actions in words."""

from mta.filters.sieve import actions
from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.evaluate import Message, evaluate
from mta.filters.sieve.vocabulary import capabilities

REQUIRE_ALL = "require [" + ", ".join(f'"{each}"' for each in capabilities()) + "];\n"
PLAIN = (
    b"From: Ann <ann@example.test>\r\nTo: Bob <bob+lists@example.test>\r\n"
    b"Subject: The 3 bears\r\nMessage-ID: <one@example.test>\r\n\r\nOnce upon a time\r\n"
)


def message(content=PLAIN, reverse_path="ann@example.test", recipient="bob+lists@example.test"):
    return Message(content, reverse_path, recipient)


def result(script, content=PLAIN, surroundings=None, budget=None):
    """What a script that requires everything gives for a message."""
    program = compile_script(REQUIRE_ALL + script)
    return evaluate(program, message(content), surroundings, budget)


def done(script, content=PLAIN, surroundings=None, budget=None):
    """The actions in words; a script that fails is a failure of the test."""
    found = result(script, content, surroundings, budget)
    assert found.error == "", found.trace
    return [words(each) for each in found.actions]


def holds(test, content=PLAIN, surroundings=None, before=""):
    found = done(f"{before}\nif {test} {{ discard; }}", content, surroundings)
    return found == ["discard"]


def failure(script, content=PLAIN, surroundings=None, budget=None):
    """The error of a script that fails, which keeps the message and does nothing else."""
    found = result(script, content, surroundings, budget)
    assert found.actions == (actions.Keep(),) and found.content is None and found.seen == ()
    return found.error


def words(action):
    match action:
        case actions.FileInto():
            created = "created " if action.create else ""
            return _flagged(f"fileinto {created}{action.folder}", action.flags)
        case actions.Keep():
            return _flagged("keep", action.flags)
        case actions.Redirect():
            return f"redirect {action.address}"
        case actions.Reject():
            return f"{'ereject' if action.in_session else 'reject'} {action.text}".strip()
    return type(action).__name__.lower()


def _flagged(text, flags):
    return f"{text} [{' '.join(flags)}]" if flags else text
