"""Rules about who is sending: authentication and what MAIL may say."""

from mta.policy import answers, patterns
from mta.policy.facts import AuthFacts, Facts, MailFacts, Policy
from mta.policy.rule import Finding, Rule, accept, optional, passed, refuse
from mta.protocol import address as addresses
from mta.protocol import status

ANY_ADDRESS = "*"


@Rule
def auth_in_clear(facts: Facts, policy: Policy) -> Finding:
    """Passwords travel under TLS only, except on loopback when that is explicitly allowed."""
    if may_authenticate(facts, policy):
        return passed("encrypted" if facts.session.tls else "loopback, allowed in clear")
    return refuse("not encrypted", 538, "5.7.11", "encryption required: use STARTTLS first")


@optional()
def auth_failures(facts: Facts, policy: Policy) -> Finding:
    """An address that failed to sign in too often lately must wait, whatever it says now."""
    session, limit = facts.session, policy.limits.auth_failures
    if _auth(facts).accepted is not None:
        return passed("asked before the credentials were")
    if not limit or not session.client_ip or session.is_loopback:
        return passed("no limit" if not limit else "a local program")
    answer = facts.answer(answers.auth_failures(session.client_ip))
    if answer.is_trouble:
        return refuse(answer.text, 454, "4.7.0", "cannot authenticate for now")
    if int(answer.word) < limit:
        return passed(f"{answer.word} failed sign-ins lately, {limit} are too many")
    return refuse(
        f"{answer.word} failed sign-ins from {session.client_ip}",
        454,
        "4.7.0",
        "too many failed sign-ins, try later",
    )


@Rule
def credentials(facts: Facts, policy: Policy) -> Finding:
    """The directory's word on who the client has shown to be."""
    auth = _auth(facts)
    if auth.accepted is None:
        return passed("not asked yet")
    if auth.accepted:
        return accept(f"{auth.mechanism} as {auth.user}")
    return refuse(
        f"{auth.mechanism} failed for {auth.user or 'nobody'}",
        535,
        status.BAD_CREDENTIALS,
        "authentication failed",
    )


@Rule
def tls_required(facts: Facts, policy: Policy) -> Finding:
    """No mail in clear from this network, or at this listener (RFC 3207 4)."""
    session = facts.session
    if session.tls:
        return passed("encrypted")
    if not session.client_ip:
        return passed("a local program")
    if policy.terms_for(session.client_ip, session.listener).tls_required:
        return refuse("in clear", 530, status.SECURITY, "must issue a STARTTLS command first")
    return passed("mail in clear is allowed")


@Rule
def authentication_required(facts: Facts, policy: Policy) -> Finding:
    """Submission is for users (RFC 6409 4.3)."""
    session = facts.session
    terms = policy.terms_for(session.client_ip, session.listener)
    if (session.auth_required or terms.auth_required) and not session.auth_user:
        return refuse(
            f"the {session.listener} listener is for users",
            530,
            status.SECURITY,
            "authentication required",
        )
    return passed("authenticated" if facts.session.auth_user else "no authentication needed")


@Rule
def user_disabled(facts: Facts, policy: Policy) -> Finding:
    """A user who was removed or disabled since AUTH sends nothing more."""
    user = _mail(facts).user
    if facts.session.auth_user and not (user and user.enabled):
        return refuse(
            f"{facts.session.auth_user} is no enabled mailbox any more",
            535,
            status.BAD_CREDENTIALS,
            "your account is disabled",
        )
    return passed("the user is enabled" if facts.session.auth_user else "not authenticated")


@optional()
def sender_login(facts: Facts, policy: Policy) -> Finding:
    """A user sends as itself: its address, its aliases, what was granted to it (RFC 6409 6.1)."""
    mail = _mail(facts)
    if mail.user is None:
        return passed("not authenticated")
    if not mail.reverse_path:
        return passed("the null sender is everybody's")
    if own := _own_address(mail):
        return passed(own)
    return refuse(
        f"<{mail.reverse_path}> is none of the addresses of {mail.user.address}",
        553,
        status.NOT_PERMITTED,
        f"<{addresses.wire(mail.reverse_path)}>: you may not send as this address",
    )


@Rule
def needs_smtputf8(facts: Facts, policy: Policy) -> Finding:
    """A non-ASCII address needs SMTPUTF8 on MAIL (RFC 6531 3.4)."""
    mail = _mail(facts)
    if mail.reverse_path.isascii() or mail.smtputf8:
        return passed("the address is ASCII or SMTPUTF8 was given")
    return refuse(
        "a non-ASCII address without SMTPUTF8", 553, status.NEEDS_SMTPUTF8, "SMTPUTF8 is required"
    )


def may_authenticate(facts: Facts, policy: Policy) -> bool:
    """Whether AUTH may be used, and so be offered in EHLO."""
    if facts.session.tls:
        return True
    return policy.auth_in_clear_on_loopback and facts.session.is_loopback


def _own_address(mail: MailFacts) -> str:
    """Why the reverse-path is an address of the user, "" when it is none."""
    assert mail.user is not None
    user = mail.user.address
    if mail.reverse_path.lower() == user:
        return "the user's own address"
    if mail.sender is not None and mail.sender.targets == (user,):
        return f"mail to it goes to {user} alone"
    if ANY_ADDRESS in mail.user.may_send_as:
        return "the user may send as anybody"
    if pattern := patterns.find(mail.reverse_path, mail.user.may_send_as):
        return f"the user may send as {pattern}"
    return ""


def _mail(facts: Facts) -> MailFacts:
    assert facts.mail is not None
    return facts.mail


def _auth(facts: Facts) -> AuthFacts:
    assert facts.auth is not None
    return facts.auth
