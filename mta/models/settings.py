"""Settings that are edited live, under Courier's names where Courier has one (spec 2.19)."""

import re
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models

from mta.protocol import instructions
from mta.protocol.bang_path import is_path
from mta.protocol.esmtproutes import parse_relay
from mta.protocol.uux import DEFAULT_FLAGS, parse_flags


class CheckHelo(models.IntegerChoices):
    """What HELO must name (Courier: BOFHCHECKHELO)."""

    OFF = 0, "Not looked up"
    REFUSE = 1, "Must resolve to the client, else refused"
    DEFER = 2, "Must resolve to the client, else deferred"


class DnssecTrust(models.TextChoices):
    """Whose word on DNSSEC counts. It is one bit of an answer that nobody signed: on the way from
    another machine anyone may set it, so by default only name servers on this one are believed."""

    OFF = "off", "Nobody's: no DANE"
    LOOPBACK = "loopback", "Name servers on this machine"
    ALWAYS = "always", "All our name servers; the way to them is safe"


class DotExtension(models.TextChoices):
    """The name of a user's instruction files: ".courier" or ".qmail" (Courier: dotextension)."""

    COURIER = "courier", ".courier"
    QMAIL = "qmail", ".qmail"


SPF_KEYWORDS = frozenset(
    ["off", "none", "neutral", "pass", "fail", "softfail", "error", "unknown"]
    + ["all", "allowok", "mailfromok"]
)


def validate_spf_keywords(value: str) -> None:
    """Results that are let through, separated by commas; "off" does not ask at all."""
    unknown = set(value.replace(" ", "").split(",")) - SPF_KEYWORDS
    if unknown:
        raise ValidationError(
            f"{', '.join(sorted(unknown)) or 'nothing'} is none of "
            f"{', '.join(sorted(SPF_KEYWORDS))}"
        )


def validate_relay(value: str) -> None:
    """HOST[:PORT]. Raises ValidationError."""
    try:
        parse_relay(value)
    except ValueError as error:
        raise ValidationError(str(error)) from error


def validate_instructions(value: str) -> None:
    """Delivery instructions, a line each. Raises ValidationError."""
    try:
        found = instructions.parse(value, "localhost")
    except instructions.InstructionError as error:
        raise ValidationError(str(error)) from error
    if not found:
        raise ValidationError("without an instruction all mail would be thrown away")


def validate_unprivileged(value: str) -> None:
    """The name of a user that is not root. Raises ValidationError."""
    if value == "root" or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*\$?", value):
        raise ValidationError("the name of a user other than root is expected")


def validate_node(value: str) -> None:
    """A node name of UUCP. Raises ValidationError."""
    if value and ("!" in value or not is_path(value)):
        raise ValidationError(f"{value!r} is not a node name")


def validate_uux_flags(value: str) -> None:
    """Options of uux. Raises ValidationError."""
    try:
        parse_flags(value)
    except ValueError as error:
        raise ValidationError(str(error)) from error


def _spf(default: str, help_text: str) -> "models.CharField[str, str]":
    return models.CharField(
        max_length=100, default=default, validators=[validate_spf_keywords], help_text=help_text
    )


class Settings(models.Model):
    """One row. Durations are intervals, sizes octets."""

    sizelimit = models.BigIntegerField(
        default=50 * 1024 * 1024,
        validators=[MinValueValidator(1024)],
        help_text="largest message, octets",
    )
    maxrcpts = models.PositiveIntegerField(
        default=100,
        validators=[MinValueValidator(1)],
        help_text="recipients per transaction from the outside",
    )
    maxrcpts_submission = models.PositiveIntegerField(
        default=1000,
        validators=[MinValueValidator(1)],
        help_text="recipients per transaction of an authenticated user",
    )
    maxperip = models.PositiveIntegerField(
        default=20, help_text="connections of one address, loopback excepted; 0 for no limit"
    )
    maxperc = models.PositiveIntegerField(
        default=60, help_text="connections of one /24 (IPv6 /64), loopback excepted; 0 for no limit"
    )
    maxdaemons = models.PositiveIntegerField(
        default=1000, help_text="connections altogether, per ingress process"
    )
    auth_in_clear_on_loopback = models.BooleanField(
        default=False, help_text="let local programs use AUTH without TLS from 127.0.0.1 and ::1"
    )
    maxrcpts_hard = models.BooleanField(
        default=False, help_text="recipients beyond maxrcpts fail (5xx) and are not deferred"
    )
    maxnewperip = models.PositiveIntegerField(
        default=60, help_text="new connections of one address in a minute; 0 for no limit"
    )
    maxerrors = models.PositiveIntegerField(
        default=10,
        validators=[MinValueValidator(1)],
        help_text="wrong commands until a session is ended",
    )
    maxunknown = models.PositiveIntegerField(
        default=20,
        validators=[MinValueValidator(1)],
        help_text="refused recipients until a session is ended",
    )
    maxauthfailures = models.PositiveIntegerField(
        default=20,
        help_text="failed sign-ins of one address in 15 minutes; 0 for no limit",
    )
    mindatarate = models.PositiveIntegerField(
        default=500, help_text="octets a second that a client must send during DATA"
    )
    tarpit = models.BooleanField(
        default=True, help_text="answer errors slowly, 1 s growing to 8 s; loopback excepted"
    )
    headerlimit = models.BigIntegerField(
        default=128 * 1024,
        validators=[MinValueValidator(1000)],
        help_text="largest header section, octets",
    )
    headerlines = models.PositiveIntegerField(
        default=1000, validators=[MinValueValidator(20)], help_text="header fields of a message"
    )
    maxhops = models.PositiveIntegerField(
        default=50, validators=[MinValueValidator(2)], help_text="Received headers of a message"
    )
    mimedepth = models.PositiveIntegerField(
        default=50, validators=[MinValueValidator(1)], help_text="MIME parts within parts"
    )
    mimeparts = models.PositiveIntegerField(
        default=1000, validators=[MinValueValidator(1)], help_text="MIME parts of a message"
    )
    vrfy = models.BooleanField(default=False, help_text="answer VRFY")
    expn = models.BooleanField(default=False, help_text="answer EXPN")
    checkdns = models.BooleanField(
        default=True, help_text="the sender's domain must exist and have working MX records"
    )
    checkhelo = models.PositiveSmallIntegerField(
        default=CheckHelo.OFF, choices=CheckHelo, help_text="whether HELO must name the client"
    )
    spf_helo = _spf("off", "SPF results of HELO that are let through; off: not asked")
    spf_mailfrom = _spf("off", "SPF results of MAIL FROM that are let through; off: not asked")
    spf_from = _spf("off", "SPF results of the From header that are let through; off: not asked")
    spf_harderror = _spf("fail,softfail", "SPF results that refuse; the others defer")
    spf_trustme = models.BooleanField(default=False, help_text="no SPF for who may relay")
    spf_noverbose = models.BooleanField(
        default=False, help_text="do not pass on the domain's own explanation"
    )
    suppress_backscatter = models.BooleanField(
        default=True,
        help_text="refuse an address whose delivery failed lately, instead of bouncing again",
    )
    backscatter_window = models.DurationField(
        default=timedelta(hours=2), help_text="how long such a failure counts"
    )
    dsn_blacklist = models.BooleanField(
        default=True, help_text="refuse mail from domains whose servers refuse reports"
    )
    dsn_blacklist_after = models.PositiveIntegerField(
        default=3, validators=[MinValueValidator(1)], help_text="after so many refused reports"
    )
    dsn_blacklist_time = models.DurationField(
        default=timedelta(days=7), help_text="for so long since the last one"
    )
    retryalpha = models.DurationField(
        default=timedelta(minutes=5), help_text="pause between the tries of a burst"
    )
    retrybeta = models.PositiveIntegerField(
        default=3, validators=[MinValueValidator(1)], help_text="tries in a burst"
    )
    retrygamma = models.DurationField(
        default=timedelta(minutes=15), help_text="pause between bursts, doubled each time"
    )
    retrymaxdelta = models.PositiveIntegerField(
        default=3, help_text="how often that pause is doubled at most"
    )
    queuetime = models.DurationField(
        default=timedelta(days=5), help_text="after this a message is returned"
    )
    dsn_queuetime = models.DurationField(
        default=timedelta(days=2), help_text="the same for DSNs and other null-sender mail"
    )
    warntime = models.DurationField(
        default=timedelta(hours=4), help_text="after this the sender is told of a delay; 0 never"
    )
    srs = models.BooleanField(
        default=False,
        help_text="SRS: aliases that lead to other domains send on with a return path of ours",
    )
    submitdelay = models.DurationField(
        default=timedelta(0), help_text="pause before the first attempt"
    )
    systemaccounts = models.BooleanField(
        default=False,
        help_text="the system's users get mail at this host's name, by their own instructions",
    )
    minuid = models.PositiveIntegerField(
        default=1000,
        validators=[MinValueValidator(1)],
        help_text="users with a smaller number get no mail",
    )
    dotextension = models.CharField(
        max_length=20,
        default=DotExtension.COURIER,
        choices=DotExtension,
        help_text="the name of the users' instruction files",
    )
    defaultdelivery = models.TextField(
        default="./Maildir",
        max_length=4000,
        validators=[validate_instructions],
        help_text="the instructions for a user who has no file of his own, a line each",
    )
    dynamicdeliveries = models.BooleanField(
        default=True, help_text="a command of an instruction file may print further instructions"
    )
    aliasuser = models.CharField(
        max_length=32,
        default="nobody",
        validators=[validate_unprivileged],
        help_text="the user that the programs and files of aliases are run and written as",
    )
    commandtimeout = models.DurationField(
        default=timedelta(minutes=15), help_text="a command that delivers is ended after this"
    )
    backuprelay = models.CharField(
        max_length=255,
        blank=True,
        default="",
        validators=[validate_relay],
        help_text="HOST[:PORT] that takes what waits for another host longer than warntime",
    )
    uucpme = models.CharField(
        max_length=64,
        blank=True,
        default="",
        validators=[validate_node],
        help_text="our node name in UUCP; empty for the first label of this host's name",
    )
    uucprewriteheaders = models.BooleanField(
        default=False, help_text="addresses in headers become bang paths for UUCP, and back"
    )
    uuxflags = models.CharField(
        max_length=200,
        blank=True,
        default=DEFAULT_FLAGS,
        validators=[validate_uux_flags],
        help_text="options of uux",
    )
    maxhost = models.PositiveIntegerField(
        default=4,
        validators=[MinValueValidator(1)],
        help_text="simultaneous deliveries to one next hop",
    )
    batchsize = models.PositiveIntegerField(
        default=100, validators=[MinValueValidator(1)], help_text="recipients per delivery batch"
    )
    dsnlimit = models.BigIntegerField(
        default=32768, help_text="a failure DSN returns the whole message below this size, octets"
    )
    dsn_postmaster = models.EmailField(
        max_length=320,
        blank=True,
        default="",
        help_text="who gets what no sender can be told; empty for postmaster at this host",
    )
    esmtptimeoutconnect = models.DurationField(
        default=timedelta(minutes=1), help_text="to another host: until it takes the connection"
    )
    esmtptimeouthelo = models.DurationField(
        default=timedelta(minutes=5), help_text="until it greets"
    )
    esmtptimeout = models.DurationField(
        default=timedelta(minutes=10), help_text="until it answers a command"
    )
    esmtptimeoutdata = models.DurationField(
        default=timedelta(minutes=5), help_text="until it takes the content"
    )
    esmtptimeoutquit = models.DurationField(
        default=timedelta(seconds=10), help_text="until it says goodbye"
    )
    dnssec = models.CharField(
        max_length=10,
        default=DnssecTrust.LOOPBACK,
        choices=DnssecTrust,
        help_text="whose word on DNSSEC counts, which DANE depends on",
    )
    mtasts = models.BooleanField(
        default=True, help_text="honour the MTA-STS policies of other domains"
    )
    lease = models.DurationField(
        default=timedelta(seconds=60), help_text="a delivery that dies is work again after this"
    )
    keep_history = models.DurationField(
        default=timedelta(days=30), help_text="how long finished messages stay in the history"
    )
    keep_content = models.DurationField(
        default=timedelta(0), help_text="how long the content of finished messages is kept"
    )
    respawnlo = models.DurationField(
        default=timedelta(hours=1), help_text="a worker this old is started anew when it is idle"
    )
    respawnhi = models.DurationField(
        default=timedelta(days=7), help_text="a worker this old is started anew, busy or not"
    )
    respawnmemory = models.BigIntegerField(
        default=2 * 1024 * 1024 * 1024,
        help_text="a worker that holds more memory is started anew, octets; 0 for any",
    )
    keep_temporary = models.DurationField(
        default=timedelta(hours=36), help_text="how long an unfinished file may stay in a Maildir"
    )
    keep_trash = models.DurationField(
        default=timedelta(days=30),
        help_text="how long mail stays in the folder Trash of a mailbox; 0 for ever",
    )
    minfree = models.BigIntegerField(
        default=100 * 1024 * 1024,
        help_text="no mail is taken or delivered with less free disk space, octets; 0 for any",
    )
    keep_refusals = models.DurationField(
        default=timedelta(days=30), help_text="how long refusals stay in the history"
    )
    keep_tls = models.DurationField(
        default=timedelta(days=30), help_text="how long counts of TLS with other hosts are kept"
    )
    keep_destinations = models.DurationField(
        default=timedelta(days=30),
        help_text="how long it is remembered how a destination did that gets no more mail",
    )

    class Meta:
        verbose_name_plural = "settings"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="settings_one_row")]

    def __str__(self) -> str:
        return "Settings"

    def clean(self) -> None:
        for field in self._meta.concrete_fields:
            value = getattr(self, field.attname)
            if isinstance(value, timedelta) and value < timedelta(0):
                raise ValidationError({field.name: "a duration cannot be negative"})
        if timedelta(0) < self.respawnlo < timedelta(minutes=1):
            raise ValidationError({"respawnlo": "0 for never, else at least a minute"})
        if timedelta(0) < self.respawnhi < timedelta(minutes=1):
            raise ValidationError({"respawnhi": "0 for never, else at least a minute"})
        if 0 < self.respawnmemory < 512 << 20:
            raise ValidationError({"respawnmemory": "0 for any, else at least 512 MiB"})
        if self.commandtimeout < timedelta(seconds=1):
            raise ValidationError({"commandtimeout": "a command gets at least a second"})
        if self.lease < timedelta(seconds=2):
            raise ValidationError({"lease": "a lease lasts at least 2 seconds"})

    @classmethod
    def load(cls) -> "Settings":
        """The row, made with the defaults on first use."""
        row, _ = cls.objects.get_or_create(id=1)
        return row
