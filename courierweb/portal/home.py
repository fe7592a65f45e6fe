"""The first page: what is going on with this mailbox."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from courierweb.portal import cautions, mail_files, scripts, sentences
from courierweb.portal.frame import render_page
from courierweb.portal.rule import Rule
from courierweb.portal.sent_page import in_words, messages_of
from courierweb.portal.session import page
from mta import runtime
from mta.models import SenderListing
from mta.models.message import State

_SHOWN = 5
_RECENT = 100
_FAILED = (State.FAILED, State.EXPIRED)


@page
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    mailbox = request.mailbox
    loaded = scripts.load(mailbox)
    contents = [each.content for each in loaded.script.items]
    sent = list(messages_of(mailbox)[:_RECENT])
    recipients = [each for message in sent for each in message.shown]
    vacation = loaded.script.vacation
    return render_page(
        request,
        "home.html",
        "Overview",
        area="home",
        loaded=loaded,
        rules=[each for each in contents if isinstance(each, Rule)],
        rules_on=sum(isinstance(each, Rule) and each.enabled for each in contents),
        cautions=sum(bool(each) for each in cautions.of_rules(contents, mailbox.address)),
        vacation=vacation,
        vacation_words=sentences.of_vacation(vacation) if vacation else "",
        allowed=mailbox.sender_listings.filter(word=SenderListing.Word.ALLOW).count(),
        blocked=mailbox.sender_listings.filter(word=SenderListing.Word.BLOCK).count(),
        waiting=sum(each.state == State.QUEUED for each in recipients),
        failed=sum(each.state in _FAILED for each in recipients),
        sent=[(each, [in_words(r) for r in each.shown[:2]]) for each in sent[:_SHOWN]],
        recent=mail_files.recent(runtime.mail_root(), mailbox, _SHOWN),
    )
