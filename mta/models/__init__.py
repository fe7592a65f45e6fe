"""All mail models, one file per aggregate, one migration history.

Policy (what an administrator edits) carries a database trigger that commits a new policy
version with every change; the queue and its history carry as few constraints and indexes as
they can, because every message pays for each of them.
"""

from mta.models.access import AccessRule
from mta.models.alias import Alias
from mta.models.backscatter import AddressTrouble, DsnRefuser
from mta.models.destination import DeliveryLimit, Destination
from mta.models.dns_list import DnsList
from mta.models.domain import Domain
from mta.models.heartbeat import Heartbeat
from mta.models.history import Attempt, Event, Refusal, Statistic, Tally
from mta.models.listener import Listener, MimeMode
from mta.models.mailbox import Mailbox
from mta.models.mailbox_memory import ForwardConfirmation, RuleHit, SeenKey, VacationReply
from mta.models.mailbox_script import MailboxScript, ScriptVersion, SenderListing
from mta.models.message import Content, Lease, Message, Recipient, State
from mta.models.policy import PolicyChange, PolicyState
from mta.models.program import Program
from mta.models.report_text import ReportText
from mta.models.retry_override import RetryOverride
from mta.models.route import Route
from mta.models.rule import RuleState
from mta.models.sender import BadMailHost, BadSender, FreemailDomain, SenderGrant, SpamTrap
from mta.models.settings import CheckHelo, DnssecTrust, Settings
from mta.models.site_filter import SiteFilter
from mta.models.tls import StsPolicy, TlsTally
from mta.models.uucp import UucpNeighbor
from mta.models.webhook import Webhook

__all__ = [
    "AccessRule",
    "AddressTrouble",
    "Alias",
    "Attempt",
    "BadMailHost",
    "BadSender",
    "CheckHelo",
    "Content",
    "DeliveryLimit",
    "Destination",
    "DnsList",
    "DnssecTrust",
    "Domain",
    "DsnRefuser",
    "Event",
    "ForwardConfirmation",
    "FreemailDomain",
    "Heartbeat",
    "Lease",
    "Listener",
    "Mailbox",
    "MailboxScript",
    "Message",
    "MimeMode",
    "PolicyChange",
    "PolicyState",
    "Program",
    "Recipient",
    "Refusal",
    "ReportText",
    "RetryOverride",
    "Route",
    "RuleHit",
    "RuleState",
    "ScriptVersion",
    "SeenKey",
    "SenderGrant",
    "SenderListing",
    "Settings",
    "SiteFilter",
    "SpamTrap",
    "State",
    "Statistic",
    "StsPolicy",
    "Tally",
    "TlsTally",
    "UucpNeighbor",
    "VacationReply",
    "Webhook",
]
