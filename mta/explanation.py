"""What `mta.explain` finds out: a session that never was, stage by stage, and its shape as JSON."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from mta.ingress.connections import plain_address
from mta.policy.decision import Decision, Stage, Step, Verdict
from mta.policy.facts import Resolution
from mta.policy.question import Answer, Question

LISTENERS = ("smtp", "submission", "smtps")
MOST_RECIPIENTS = 1000


class BadRequest(ValueError):
    """The request cannot be meant; the message is a sentence for whoever made it."""


@dataclass(frozen=True, slots=True)
class Request:
    """A session as somebody imagines it.

    `reverse_path` is None when the session ends before MAIL, "" for the null sender; it and the
    recipients are as a person types them. Without `helo` the client says its address literal.
    `auth_user` has signed in with the right password. `content` is the message as it is in a
    file, None when it ends before DATA.
    """

    client_ip: str
    reverse_path: str | None = None
    recipients: tuple[str, ...] = ()
    helo: str = ""
    listener: str = "smtp"
    tls: bool = False
    auth_user: str = ""
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that a rule had, its answer, and how long that took in seconds."""

    question: Question
    answer: Answer
    seconds: float


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a recipient goes in the end. `route` is the row that says so, "" for none; a `state`
    other than queued has no transport. `original_recipient` is its ORCPT,
    `return_path` what the next host is told instead of the sender, "" for that."""

    address: str
    state: str
    transport: str
    nexthop: str
    route: str
    first_attempt: datetime
    expires_at: datetime
    notify: str
    original_recipient: str
    return_path: str


@dataclass(frozen=True, slots=True)
class Passage:
    """One decision on the way: at which stage, on what, and by which answers.

    `resolution` is the alias expansion of a recipient, None at the other stages.
    """

    decision: Decision
    subject: str
    asked: tuple[Asked, ...] = ()
    resolution: Resolution | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole way. `destinations` is empty when nothing would be queued."""

    request: Request
    policy_version: int
    passages: tuple[Passage, ...]
    destinations: tuple[Destination, ...]

    @property
    def last(self) -> Decision:
        """The decision whose reply the client reads last; a single refused recipient of several
        does not count."""
        decisions = [passage.decision for passage in self.passages]
        if not self.destinations:
            return decisions[-1]
        content = [each for each in decisions if each.stage is Stage.CONTENT]
        return (content or [each for each in decisions if each.accepted])[-1]

    @property
    def verdict(self) -> Verdict:
        return self.last.verdict


def checked(request: Request) -> Request:
    """The request with its client address in normal form. Raises BadRequest."""
    try:
        client_ip = str(ip_address(plain_address(request.client_ip.strip())))
    except ValueError as error:
        raise BadRequest(f"{request.client_ip!r} is not an IP address") from error
    if request.listener not in LISTENERS:
        raise BadRequest(f"there is no listener {request.listener!r}: {', '.join(LISTENERS)}")
    if len(request.recipients) > MOST_RECIPIENTS:
        raise BadRequest(f"{MOST_RECIPIENTS} recipients are the most that are explained at once")
    return Request(
        client_ip=client_ip,
        reverse_path=None if request.reverse_path is None else _path(request.reverse_path),
        recipients=tuple(_path(recipient) for recipient in request.recipients),
        helo=request.helo.strip() or _literal(client_ip),
        listener=request.listener,
        tls=request.tls or request.listener == "smtps",
        auth_user=request.auth_user.strip().lower(),
        content=request.content,
    )


def as_json(explanation: Explanation) -> dict[str, Any]:
    """For programs; times are ISO 8601, seconds numbers:

    `verdict` ("accept", "defer", "refuse"), `reply` (the last one), `rule`, `policy_version`,
    `request` (as understood),
    `stages`: [{`stage`, `subject`, `verdict`, `rule`, `reply`,
    `steps`: [{`rule`, `matched`, `log_only`, `detail`, `reply`}],
    `answers`: [{`subject`, `about`, `word`, `text`, `values`, `seconds`}],
    `expansion`: {`standing`, `steps`, `targets`, `is_list`} at the stage rcpt, else null}],
    `recipients`: [{`address`, `state`, `transport`, `nexthop`, `route`, `first_attempt`,
    `expires_at`, `notify`, `original_recipient`, `return_path`}].
    """
    request, last = explanation.request, explanation.last
    return {
        "verdict": last.verdict.value,
        "reply": str(last.reply),
        "rule": last.rule,
        "policy_version": explanation.policy_version,
        "request": {
            "client_ip": request.client_ip,
            "helo": request.helo,
            "listener": request.listener,
            "tls": request.tls,
            "auth_user": request.auth_user,
            "reverse_path": request.reverse_path,
            "recipients": list(request.recipients),
            "content": None if request.content is None else len(request.content),
        },
        "stages": [_stage(passage) for passage in explanation.passages],
        "recipients": [_recipient(destination) for destination in explanation.destinations],
    }


def _stage(passage: Passage) -> dict[str, Any]:
    decision, resolution = passage.decision, passage.resolution
    return {
        "stage": decision.stage.value,
        "subject": passage.subject,
        "verdict": decision.verdict.value,
        "rule": decision.rule,
        "reply": str(decision.reply),
        "steps": [_step(step) for step in decision.steps],
        "answers": [
            {
                "subject": asked.question.subject.value,
                "about": list(asked.question.about),
                "word": asked.answer.word,
                "text": asked.answer.text,
                "values": list(asked.answer.values),
                "seconds": round(asked.seconds, 4),
            }
            for asked in passage.asked
        ],
        "expansion": resolution
        and {
            "standing": resolution.standing.value,
            "steps": list(resolution.steps),
            "targets": list(resolution.targets),
            "is_list": resolution.is_list,
        },
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "rule": step.rule,
        "matched": step.matched,
        "log_only": step.reply is not None,
        "detail": step.detail,
        "reply": str(step.reply) if step.reply else "",
    }


def _recipient(destination: Destination) -> dict[str, Any]:
    return {
        "address": destination.address,
        "state": destination.state,
        "transport": destination.transport,
        "nexthop": destination.nexthop,
        "route": destination.route,
        "first_attempt": destination.first_attempt.isoformat(),
        "expires_at": destination.expires_at.isoformat(),
        "notify": destination.notify,
        "original_recipient": destination.original_recipient,
        "return_path": destination.return_path,
    }


def _path(text: str) -> str:
    """A typed address without the brackets somebody may have put around it."""
    text = text.strip()
    return text[1:-1] if text.startswith("<") and text.endswith(">") else text


def _literal(client_ip: str) -> str:
    return f"[IPv6:{client_ip}]" if ":" in client_ip else f"[{client_ip}]"
