"""What a delivery report says to people: all wording of `mta.protocol.dsn` in one place.

An administrator may replace each of `TEXTS` (`mta.models.ReportText`). A replacement is checked
before it is stored; one that fails all the same is left out for the built-in text, so that no
wording can keep a report back.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Formatter

log = logging.getLogger(__name__)

# What each placeholder stands for in a preview.
SAMPLES = {
    "hostname": "mail.example.com",
    "postmaster": "postmaster@mail.example.com",
    "subject": "The minutes of Monday",
    "arrival": "Mon, 02 Mar 2026 09:30:00 +0000",
    "queue_id": "00000000000000000000",
    "until": "Sat, 07 Mar 2026 09:30:00 +0000",
    "remote": "mx.example.net [192.0.2.25]",
    "command": "RCPT TO:<bert@example.net>",
}


@dataclass(frozen=True, slots=True)
class Text:
    """One text of a report. `placeholders` are those it may use; `title` says where it stands.

    A `one_line` text goes into a header field.
    """

    name: str
    title: str
    default: str
    placeholders: tuple[str, ...] = ()
    one_line: bool = False

    def problem(self, text: str) -> str:
        """Why this cannot replace the text, "" when it can."""
        if not text.strip():
            return "the text is empty"
        if self.one_line and "\n" in text:
            return "this text goes into a header field and has to be one line"
        if self.one_line and not (text.isascii() and len(text) <= 200):
            return "this text goes into a header field: at most 200 characters of ASCII"
        try:
            parts = list(Formatter().parse(text))
        except ValueError as error:
            return f"the braces do not fit ({error}); write {{{{ and }}}} for a brace"
        for _, name, spec, conversion in parts:
            if name is None:
                continue
            if name not in self.placeholders or spec or conversion:
                may = ", ".join(f"{{{each}}}" for each in self.placeholders) or "none"
                return f"{{{name}}} cannot be used here; there are: {may}"
        return ""

    def preview(self, text: str) -> str:
        """The text as a report would have it, with samples in the place of facts."""
        return text.format(**{name: SAMPLES[name] for name in self.placeholders})


_ALL = (
    Text(
        "subject_failed",
        "Subject of a failure report",
        "Your message could not be delivered",
        one_line=True,
    ),
    Text("subject_delayed", "Subject of a delay report", "Your message is delayed", one_line=True),
    Text(
        "subject_success",
        "Subject of a success report",
        "Your message was delivered",
        one_line=True,
    ),
    Text(
        "subject_double_bounce",
        "Subject of a report to the postmaster",
        "A message without a return address could not be delivered",
        one_line=True,
    ),
    Text("from_name", "Name of the sender", "Mail Delivery System", one_line=True),
    Text(
        "greeting",
        "First paragraph",
        "This is the mail server {hostname}, with news about a message that you sent.",
        ("hostname",),
    ),
    Text(
        "greeting_double_bounce",
        "First paragraph to the postmaster",
        "This is the mail server {hostname}. The message below could not be delivered. It has no "
        "return address, as delivery reports have none, so its sender cannot be told; you get "
        "this copy as the postmaster.",
        ("hostname",),
    ),
    Text("about_subject", "Line on the subject", "Subject: {subject}", ("subject",)),
    Text("about_arrival", "Line on the arrival", "Arrived: {arrival}", ("arrival",)),
    Text("about_queue_id", "Line on the queue id", "Queue id: {queue_id}", ("queue_id",)),
    Text("delivered", "Before delivered recipients", "The message was delivered to:"),
    Text(
        "relayed",
        "Before relayed recipients",
        "The message was passed on to a mail server that gives no reports of this kind. If "
        "something goes wrong there, that server will write to you. It was passed on for:",
    ),
    Text(
        "expanded",
        "Before expanded lists",
        "The message was passed on to the members of a list or a group. You will get no "
        "reports about the single members. It was passed on for:",
    ),
    Text(
        "failed",
        "Before failed recipients",
        "The message could not be delivered to the recipients below, and will not be tried "
        "again. They have not received it.",
    ),
    Text(
        "delayed",
        "Before delayed recipients",
        "The message has not reached the recipients below yet. You need not do anything, and "
        "please do not send it again: the server keeps trying, and will write to you if it has "
        "to give up.",
    ),
    Text("answer", "Before an answer", "{remote} answered:", ("remote",)),
    Text(
        "answer_to_command",
        "Before an answer to a command",
        "{remote} answered to {command}:",
        ("remote", "command"),
    ),
    Text("giving_up_at", "End of the tries", "It will be tried until {until}.", ("until",)),
    Text("attached_message", "The message is attached", "The message itself is attached."),
    Text("attached_header", "The header is attached", "The header of the message is attached."),
    Text(
        "help",
        "Last paragraph",
        "If you need help, please write to {postmaster} and quote the queue id.",
        ("postmaster",),
    ),
)
TEXTS: Mapping[str, Text] = {text.name: text for text in _ALL}


@dataclass(frozen=True, slots=True)
class Wording:
    """The texts in force: those of `replaced`, by name, else our own."""

    replaced: Mapping[str, str] = field(default_factory=dict)

    def say(self, name: str, **facts: str) -> list[str]:
        """The lines of a text with its facts filled in."""
        text = TEXTS[name]
        known = {key: facts[key] for key in text.placeholders}
        template = self.replaced.get(name)
        if template is not None:
            problem = text.problem(template)
            if not problem:
                return template.format(**known).splitlines()
            log.error("the report text %s is not used: %s", name, problem)
        return text.default.format(**known).splitlines()


# What a sender can do, by subject and detail of the status; the exact code wins over its subject.
ADVICE = {
    "1": "Please look for a typing error in the address.",
    "1.1": "There is no such mailbox. Please look for a typing error in the address.",
    "1.2": "There is no such domain. Please look for a typing error after the @.",
    "1.10": "This domain receives no mail. Please ask the recipient for another address.",
    "2.1": "The mailbox is switched off. Please reach the recipient in another way.",
    "2.2": "The mailbox is full. The recipient has to make room first.",
    "3.4": "The message is too big. Please send less, or share large files in another way.",
    "4.1": "The recipient's mail server could not be reached.",
    "4.4": "The recipient's domain names no mail server that can be used.",
    "4.6": "The message went round in circles between mail servers.",
    "4.7": "It could not be delivered in all the time that was allowed for it.",
    "6.7": "The recipient's mail server does not take addresses with international letters.",
    "7": "The recipient's side has refused it by its rules.",
}


def advice(status: str) -> str:
    """A sentence on what the status means for the sender, "" when there is nothing to say."""
    _, _, detail = status.partition(".")
    return ADVICE.get(detail) or ADVICE.get(detail.partition(".")[0], "")
