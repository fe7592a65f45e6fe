"""What the owner of a mailbox says within the session: of a sender, and of a content.

It answers for steps 1 and 2, in a thread. What a script asks for besides a refusal, or trust at
RCPT, is done at delivery; a script that fails refuses nobody, since the delivery keeps the message
and tells the owner.
"""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache, lru_cache

from django.utils import timezone

from mta import mailbox_program
from mta.filters.sieve import actions, evaluate
from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.evaluate import Surroundings
from mta.filters.sieve.program import Program
from mta.filters.sieve.syntax import SieveError
from mta.ingress.inquiry import Answerer
from mta.mailbox_program import Mail, Place
from mta.models import Mailbox, MailboxScript, Refusal, SenderListing
from mta.policy import mailbox_filter
from mta.policy.answers import OwnersWord, RefusedBefore
from mta.policy.facts import MailboxRules
from mta.policy.question import Answer, Question
from mta.protocol import address as addresses
from mta.protocol.alias_program import HOP
from mta.protocol.authors import authors

Moment = MailboxScript.Moment

PROGRAMS_KEPT = 1000
# Other servers try for five days, at worst.
REFUSALS_COUNT_FOR = timedelta(days=5)
CONTENT_RULE = mailbox_filter.mailbox_filter_content.__name__
_LAST_WORDS = (OwnersWord.TAKE, OwnersWord.REFUSE)
NOT_FROM_YOU = "the recipient takes no mail from this sender"


def rules_of(mailbox: Mailbox) -> MailboxRules | None:
    """What the owner could say at all; None when that is nothing."""
    words = set(mailbox.sender_listings.values_list("word", flat=True))
    scripts = {script.moment: script for script in mailbox.scripts.filter(active=True)}
    message = _program(scripts[Moment.MESSAGE]) if Moment.MESSAGE in scripts else None
    judges_senders = bool(words) or Moment.RECIPIENT in scripts
    may_refuse = SenderListing.Word.BLOCK in words or bool(message and message.may_refuse)
    if mailbox.own_filter:
        return MailboxRules(mailbox.address, judges_senders=True, may_refuse=True)
    if not judges_senders and not may_refuse:
        return None
    return MailboxRules(mailbox.address, judges_senders, may_refuse)


def rules_of_account(address: str, account: str, allowed: str) -> MailboxRules | None:
    """The same for a user of the system, if that may have programs that judge."""
    if account.startswith(HOP) or not mailbox_program.is_allowed(account, allowed):
        return None
    return MailboxRules(address, judges_senders=True, may_refuse=True)


def judge_sender(question: Question) -> Answer:
    """The answerer of MAILBOX_SENDER. The listing of the sender counts before the script, and that
    before the program."""
    address, recipient, reverse_path, client_ip, helo = question.about
    mail = Mail(recipient, reverse_path, client_ip, helo)
    mailbox = _mailbox(address)
    word = _sender_by_rules(mailbox, mail) if mailbox else _nothing("a user of this system")
    if word.word in _LAST_WORDS:
        return word
    place = _place_of(mailbox, address, recipient)
    return (place and mailbox_program.judge_sender(place, mail)) or word


def refused_before(question: Question) -> Answer:
    """The answerer of REFUSED_BEFORE. Reports have no sender, and are known by their client."""
    reverse_path, client_ip, *recipients = question.about
    rows = Refusal.objects.filter(
        recipient__in=recipients,
        at__gt=timezone.now() - REFUSALS_COUNT_FOR,
        rule=CONTENT_RULE,
        reverse_path=reverse_path,
    )
    row = (rows if reverse_path else rows.filter(client_ip=client_ip)).first()
    if row is None:
        return Answer(RefusedBefore.NO)
    return Answer(RefusedBefore.YES, row.recipient)


def judge_of(content: Callable[[], bytes]) -> Answerer:
    """The answerer of MAILBOX_CONTENT for one message; `content` gives it as it is stored."""

    # Several owners are asked about one message.
    whole_content = cache(content)

    def judge_content(question: Question) -> Answer:
        address, recipient, reverse_path, client_ip, helo, _ = question.about
        mail = Mail(recipient, reverse_path, client_ip, helo)
        whole = whole_content()
        mailbox = _mailbox(address)
        word = _content_by_rules(mailbox, mail, whole) if mailbox else _nothing("a user here")
        if word.word in _LAST_WORDS:
            return word
        place = _place_of(mailbox, address, recipient)
        return (place and mailbox_program.judge_content(place, mail, whole)) or word

    return judge_content


def _sender_by_rules(mailbox: Mailbox, mail: Mail) -> Answer:
    if listing := _listing(mailbox, [mail.reverse_path]):
        return _word_of(listing)
    script = mailbox.scripts.filter(active=True, moment=Moment.RECIPIENT).first()
    if script is None:
        return _nothing(f"{mailbox.address} has not listed the sender")
    return _sender_by_script(
        script, evaluate.Message(b"", mail.reverse_path, mail.recipient), _around(mailbox, mail)
    )


def _content_by_rules(mailbox: Mailbox, mail: Mail, content: bytes) -> Answer:
    listing = _listing(mailbox, authors(content))
    if listing and listing.word == SenderListing.Word.BLOCK:
        return _word_of(listing)
    script = mailbox.scripts.filter(active=True, moment=Moment.MESSAGE).first()
    if script is None:
        return _nothing(f"{mailbox.address} has no script about contents")
    return _content_by_script(
        script, evaluate.Message(content, mail.reverse_path, mail.recipient), _around(mailbox, mail)
    )


def _place_of(mailbox: Mailbox | None, address: str, recipient: str) -> Place | None:
    if mailbox is None:
        return mailbox_program.place_of_account(address)
    return mailbox_program.place_of_mailbox(mailbox, recipient)


def _mailbox(address: str) -> Mailbox | None:
    local, domain = addresses.split(address)
    rows = Mailbox.objects.select_related("domain")
    return rows.filter(domain__name=domain, local_part=local).first()


def _listing(mailbox: Mailbox, senders: Sequence[str]) -> SenderListing | None:
    """The listing of the first of these senders who has one. The null sender is nobody's."""
    for sender in senders:
        name = sender.lower()
        domain = name.rpartition("@")[2]
        if not name or not domain:
            continue
        found = {
            row.sender: row
            for row in mailbox.sender_listings.filter(sender__in=(name, f"@{domain}"))
        }
        if found:
            return found.get(name) or found[f"@{domain}"]
    return None


def _word_of(listing: SenderListing) -> Answer:
    who = f"of {listing.mailbox.address}: {listing.sender}"
    if listing.word == SenderListing.Word.ALLOW:
        return Answer(OwnersWord.TAKE, f"allowed senders {who}")
    return Answer(OwnersWord.REFUSE, f"blocked senders {who}", (NOT_FROM_YOU,))


def _sender_by_script(
    script: MailboxScript, message: evaluate.Message, around: Surroundings
) -> Answer:
    result = _evaluated(script, message, around)
    if isinstance(result, Answer):
        return result
    if refusal := _refusal(result):
        return _refused(script, refusal)
    # Line 0 is the keep that nobody wrote.
    for action in result.actions:
        if isinstance(action, actions.Keep) and action.line:
            return Answer(OwnersWord.TAKE, _place(script, action.line))
    return Answer(OwnersWord.JUDGE, f"{_place(script)} leaves it to the content")


def _content_by_script(
    script: MailboxScript, message: evaluate.Message, around: Surroundings
) -> Answer:
    result = _evaluated(script, message, around)
    if isinstance(result, Answer):
        return result
    if refusal := _refusal(result):
        return _refused(script, refusal)
    return _nothing(f"{_place(script)} refuses nothing")


def _evaluated(
    script: MailboxScript, message: evaluate.Message, around: Surroundings
) -> evaluate.Result | Answer:
    """What it came to, or the answer when it did not run to its end."""
    program = _program(script)
    if program is None:
        return Answer(OwnersWord.JUDGE, f"{_place(script)} cannot be compiled")
    result = evaluate.evaluate(program, message, around)
    if result.error:
        return Answer(OwnersWord.JUDGE, f"{_place(script)} failed: {result.error}")
    return result


def _refusal(result: evaluate.Result) -> actions.Reject | None:
    return next((each for each in result.actions if isinstance(each, actions.Reject)), None)


def _refused(script: MailboxScript, refusal: actions.Reject) -> Answer:
    return Answer(OwnersWord.REFUSE, _place(script, refusal.line), (refusal.text,))


def _place(script: MailboxScript, line: int = 0) -> str:
    """What people are told of a rule: whose and where, and not what it says."""
    place = f"mailbox filter of {script.mailbox.address}"
    return f"{place}, line {line}" if line else place


def _nothing(text: str) -> Answer:
    return Answer(OwnersWord.NOTHING, text)


def _around(mailbox: Mailbox, mail: Mail) -> Surroundings:
    """RFC 5183: it is judged by the server, before the delivery."""

    def included(where: str, name: str) -> Program | None:
        script = mailbox.scripts.filter(name=name).first() if where == "personal" else None
        return _program(script) if script else None

    items = {
        "location": "MTA",
        "phase": "pre",
        "name": "CourierWeb",
        "domain": mailbox.domain.name,
        "remote-ip": mail.client_ip,
        "remote-host": mail.helo,
    }
    return Surroundings(
        at=time.time(), items=items, script=included, separators=mailbox.domain.separators or "+"
    )


def _program(script: MailboxScript) -> Program | None:
    """None when it cannot be compiled: it was saved by an older version of ours."""
    return _compiled(script.text)


@lru_cache(PROGRAMS_KEPT)
def _compiled(text: str) -> Program | None:
    try:
        return compile_script(text)
    except SieveError:
        return None
