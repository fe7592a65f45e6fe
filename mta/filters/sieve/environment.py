"""environment (RFC 5183): what is known about the place and the moment of the evaluation."""

from mta.filters.sieve.program import Call
from mta.filters.sieve.run import Run, Test


def environment(run: Run, call: Call) -> bool:
    name = run.argument(call, 0).lower()
    value = run.surroundings.items.get(name)
    if value is None:
        # Section 4: an item that is not known matches nothing, not even :count "0".
        return run.note(call, f"environment {name}: it is not known here", False)
    return run.compare(call, [value], f"environment {name}")


TESTS: dict[str, Test] = {"environment": environment}
