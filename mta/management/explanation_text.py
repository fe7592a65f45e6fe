"""An explanation as text for a terminal.

Each stage is a heading with its verdict, and beneath it a line for each rule: `*` decided, `~`
only logs, `-` did not match.
"""

from collections.abc import Iterator

from mta.explanation import Asked, Destination, Explanation, Passage, Request
from mta.management.appliance_command import printable
from mta.models import State
from mta.policy.decision import Step, Verdict

MOST_TARGETS = 20
_WORDS = {Verdict.ACCEPT: "accepted", Verdict.DEFER: "deferred", Verdict.REFUSE: "refused"}


def lines(explanation: Explanation) -> Iterator[str]:
    """The lines, without control characters."""
    for line in _lines(explanation):
        yield printable(line).rstrip()


def _lines(explanation: Explanation) -> Iterator[str]:
    yield f"{_client(explanation.request)}; policy version {explanation.policy_version}"
    for passage in explanation.passages:
        yield ""
        yield from _passage(passage)
    yield ""
    yield f"{_WORDS[explanation.verdict].capitalize()}: {explanation.last.reply}"
    for destination in explanation.destinations:
        yield from _destination(destination)


def _client(request: Request) -> str:
    words = [f"Client {request.client_ip}", f"HELO {request.helo}", f"listener {request.listener}"]
    words.append("TLS" if request.tls else "in clear")
    if request.auth_user:
        words.append(f"signed in as {request.auth_user}")
    return ", ".join(words)


def _passage(passage: Passage) -> Iterator[str]:
    decision = passage.decision
    by = f" by {decision.rule}" if decision.rule != "default" else ""
    yield f"{decision.stage.value.upper()} {passage.subject}: {_WORDS[decision.verdict]}{by}"
    width = max((len(step.rule) for step in decision.steps), default=0)
    for step in decision.steps:
        yield f"  {_mark(step)} {step.rule.ljust(width)}  {step.detail}"
        if step.reply is not None:
            yield f"    {' ' * width}  would say: {step.reply}"
    for asked in passage.asked:
        yield f"  ? {_asked(asked)}"
    if passage.resolution is not None:
        yield from (f"  > {step}" for step in passage.resolution.steps[:MOST_TARGETS])
    if not decision.accepted:
        yield f"  = {decision.reply}"


def _mark(step: Step) -> str:
    if step.reply is not None:
        return "~"
    return "*" if step.matched else "-"


def _asked(asked: Asked) -> str:
    answer = asked.answer
    said = " ".join(part for part in (answer.word, *answer.values) if part)
    text = f" ({answer.text})" if answer.text else ""
    return f"{asked.question}: {said}{text}, {asked.seconds * 1000:.0f} ms"


def _destination(destination: Destination) -> Iterator[str]:
    if destination.state == State.EXPANDED:
        yield f"  {destination.address}: a list, its members get the message"
        return
    if destination.state == State.FAILED:
        yield f"  {destination.address}: fails, and the sender gets a report"
        return
    hop = f" to {destination.nexthop}" if destination.nexthop else ""
    route = f" by the route {destination.route}" if destination.route else ""
    first = destination.first_attempt.strftime("%Y-%m-%d %H:%M:%S %Z")
    as_from = f", as from {destination.return_path}" if destination.return_path else ""
    yield (
        f"  {destination.address}: {destination.transport}{hop}{route}{as_from},"
        f" first attempt {first}"
    )
