"""How often sign-in failed from an address lately, in all processes of the appliance together.

Each failure leaves a refusal (`mta.policy.sender.credentials`), and those are counted. Attempts
that were turned away before the credentials were looked at have another rule and do not count:
who keeps on trying gets in again when the failures are old enough.
"""

from datetime import timedelta

from django.utils import timezone

from mta.models import Refusal
from mta.policy import sender
from mta.policy.decision import Stage
from mta.policy.question import Answer, Question

WINDOW = timedelta(minutes=15)


def answer(question: Question) -> Answer:
    """Answers `mta.policy.answers.auth_failures`. Never remembered: the next one counts at once."""
    (client_ip,) = question.about
    failures = Refusal.objects.filter(
        client_ip=client_ip,
        at__gt=timezone.now() - WINDOW,
        stage=Stage.AUTH,
        rule=sender.credentials.__name__,
    )
    return Answer(str(failures.count()))
