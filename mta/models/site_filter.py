"""The administrator's filters, asked within the session (spec 6.1)."""

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from mta.protocol.envelope import Source
from mta.protocol.site_filter import FilterStage, FilterState, FilterTerms, OnTrouble


class SiteFilter(models.Model):
    """One filter of some kind (`mta.filters.registry`), where and how it is asked.

    `options` and `text` belong to the kind, which checks them in the form and in the command.
    """

    class Stage(models.TextChoices):
        CONNECT = FilterStage.CONNECT.value, "Connection"
        SENDER = FilterStage.SENDER.value, "Sender (MAIL)"
        RECIPIENT = FilterStage.RECIPIENT.value, "Recipient (RCPT)"
        CONTENT = FilterStage.CONTENT.value, "Content (end of DATA)"

    class State(models.TextChoices):
        OFF = FilterState.OFF.value, "Off"
        LOG = FilterState.LOG.value, "Log only"
        ENFORCE = FilterState.ENFORCE.value, "Enforced"

    class OnTrouble(models.TextChoices):
        DEFER = OnTrouble.DEFER.value, "Mail is told to come again later"
        SKIP = OnTrouble.SKIP.value, "Mail passes without it"

    name = models.CharField(
        max_length=64,
        unique=True,
        validators=[RegexValidator(r"\A[a-z0-9][a-z0-9_-]*\Z", "small letters, digits, - and _")],
        help_text="small letters, digits, hyphens and underscores; refusals name it",
    )
    kind = models.CharField(max_length=64)
    stage = models.CharField(max_length=9, choices=Stage, default=Stage.CONTENT)
    position = models.IntegerField(default=100, help_text="lower ones are asked first")
    state = models.CharField(max_length=7, choices=State, default=State.LOG)
    esmtp = models.BooleanField(default=True, verbose_name="mail from other hosts")
    submission = models.BooleanField(default=False, verbose_name="mail of users who signed in")
    local = models.BooleanField(default=False, verbose_name="mail of programs on this host")
    uucp = models.BooleanField(default=False, verbose_name="mail by UUCP")
    mandatory = models.BooleanField(
        default=True,
        help_text="off: asked only about mailboxes whose own rules leave mail to the content",
    )
    on_trouble = models.CharField(
        max_length=5, choices=OnTrouble, default=OnTrouble.DEFER, verbose_name="when it fails"
    )
    timeout = models.DurationField(
        default=timedelta(seconds=30),
        validators=[MinValueValidator(timedelta(seconds=1)), MaxValueValidator(timedelta(hours=1))],
    )
    options = models.JSONField(default=dict, blank=True)
    text = models.TextField(blank=True)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["position", "name"]

    def __str__(self) -> str:
        return self.name

    def facts(self) -> FilterTerms:
        return FilterTerms(
            name=self.name,
            kind=self.kind,
            stage=FilterStage(self.stage),
            state=FilterState(self.state),
            position=self.position,
            sources=self.sources(),
            mandatory=self.mandatory,
            on_trouble=OnTrouble(self.on_trouble),
            timeout=self.timeout.total_seconds(),
            options=self.options,
            text=self.text,
        )

    def sources(self) -> frozenset[Source]:
        named = (Source.ESMTP, Source.SUBMISSION, Source.LOCAL, Source.UUCP)
        return frozenset(source for source in named if getattr(self, source.value))

    def clean(self) -> None:
        if self.stage != self.Stage.CONTENT and (self.local or self.uucp):
            raise ValidationError(
                {"stage": "mail of programs on this host and by UUCP has no session: content only"}
            )
