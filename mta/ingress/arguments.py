"""The arguments of MAIL, RCPT, BDAT, VRFY and HELO, checked; what is wrong with them is a reply."""

import re
from dataclasses import dataclass

from mta.ingress import replies
from mta.policy.facts import MailFacts
from mta.protocol import address, parameters, status
from mta.protocol.envelope import Recipient
from mta.protocol.parameters import MailParameters
from mta.protocol.reply import Reply


class BadArgument(Exception):
    """The command cannot be carried out as it stands; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Mail:
    """MAIL as given: what policy judges, and the parameters that go with the message."""

    facts: MailFacts
    parameters: MailParameters


@dataclass(frozen=True, slots=True)
class Chunk:
    """BDAT as given: how many octets follow, and whether they are the last."""

    size: int
    last: bool


_BDAT = re.compile(r"([0-9]{1,20})(?: +(LAST))?\Z", re.IGNORECASE | re.ASCII)


def parse_mail(argument: str) -> Mail:
    """ "FROM:<path> PARAMETERS". Raises BadArgument."""
    try:
        path, text = _path("FROM:", argument)
        given = parameters.parse_mail(text)
        reverse_path = address.parse(path) if path else ""
    except parameters.ParameterError as error:
        raise BadArgument(_parameter_reply(error)) from error
    except address.AddressError as error:
        raise BadArgument(_address(replies.MAIL_SYNTAX, status.BAD_SENDER_SYNTAX, error)) from error
    facts = MailFacts(reverse_path, given.size, given.smtputf8, given.requiretls)
    return Mail(facts, given)


def parse_rcpt(argument: str, hostname: str, *, smtputf8: bool) -> Recipient:
    """ "TO:<path> PARAMETERS". A lone postmaster is ours (RFC 5321 4.1.1.3).

    Raises BadArgument.
    """
    try:
        path, text = _path("TO:", argument)
        given = parameters.parse_rcpt(text)
        if not path:
            raise BadArgument(replies.NULL_RECIPIENT)
        lone_postmaster = path.lower() == "postmaster"
        recipient = f"postmaster@{hostname}" if lone_postmaster else address.parse(path)
    except parameters.ParameterError as error:
        raise BadArgument(_parameter_reply(error)) from error
    except address.AddressError as error:
        reply = _address(replies.RCPT_SYNTAX, status.BAD_ADDRESS_SYNTAX, error)
        raise BadArgument(reply) from error
    if not recipient.isascii() and not smtputf8:
        raise BadArgument(replies.NEEDS_SMTPUTF8)
    return Recipient(recipient, given.notify, given.orcpt)


def parse_hello(argument: str) -> str:
    """The client's name; anything printable without blanks will do. Raises BadArgument."""
    if not argument or len(argument) > 255 or not argument.isprintable() or " " in argument:
        raise BadArgument(replies.BAD_HELO)
    return argument


def parse_bdat(argument: str) -> Chunk:
    """ "OCTETS [LAST]" (RFC 3030 2). Raises BadArgument."""
    match = _BDAT.match(argument)
    if match is None:
        raise BadArgument(replies.BDAT_SYNTAX)
    return Chunk(int(match[1]), match[2] is not None)


def parse_name(argument: str, hostname: str) -> str:
    """The address that VRFY or EXPN ask for, with or without brackets; a lone name is ours.

    "SMTPUTF8" may stand behind it, and has to behind a non-ASCII one (RFC 6531 3.7.4.2). Raises
    BadArgument.
    """
    text, _, word = argument.rpartition(" ")
    smtputf8 = word.upper() == "SMTPUTF8" and bool(text)
    name = (text if smtputf8 else argument).strip()
    if name.startswith("<") and name.endswith(">"):
        name = name[1:-1]
    try:
        parsed = address.parse(name, need_domain=False)
    except address.AddressError as error:
        raise BadArgument(
            _address(replies.NAME_SYNTAX, status.BAD_ADDRESS_SYNTAX, error)
        ) from error
    if not parsed.isascii() and not smtputf8:
        raise BadArgument(replies.NEEDS_SMTPUTF8)
    return parsed if address.split(parsed)[1] else f"{parsed}@{hostname}"


def _path(keyword: str, argument: str) -> tuple[str, str]:
    """(path, parameters). Blanks after the colon are forgiven, as everywhere."""
    if argument[: len(keyword)].upper() != keyword:
        raise address.AddressError(f"{keyword} is expected")
    return address.parse_path(argument[len(keyword) :].strip())


def _parameter_reply(error: parameters.ParameterError) -> Reply:
    """555 for what we do not know, 501 for what is malformed (RFC 5321 4.1.1.11)."""
    return Reply(555 if error.unknown else 501, status.BAD_PARAMETERS, str(error))


def _address(syntax: Reply, code: str, error: address.AddressError) -> Reply:
    return Reply(syntax.code, code, f"{error} ({syntax.text})")
