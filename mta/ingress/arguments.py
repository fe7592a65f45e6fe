"""The arguments of MAIL, RCPT and HELO, checked; what is wrong with them is a reply."""

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
    return Mail(MailFacts(reverse_path, given.size, given.smtputf8), given)


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
