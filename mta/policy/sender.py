"""Rules about who is sending: authentication and what MAIL may say."""

from mta.policy.facts import AuthFacts, Facts, Policy
from mta.policy.rule import Finding, Rule, accept, passed, refuse
from mta.protocol import status


@Rule
def auth_in_clear(facts: Facts, policy: Policy) -> Finding:
    """Passwords travel under TLS only, except on loopback when that is explicitly allowed."""
    if may_authenticate(facts, policy):
        return passed("encrypted" if facts.session.tls else "loopback, allowed in clear")
    return refuse("not encrypted", 538, "5.7.11", "encryption required: use STARTTLS first")


@Rule
def credentials(facts: Facts, policy: Policy) -> Finding:
    """The directory's word on user and password."""
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
    assert facts.mail is not None
    if facts.session.auth_user and not (facts.mail.user and facts.mail.user.enabled):
        return refuse(
            f"{facts.session.auth_user} is no enabled mailbox any more",
            535,
            status.BAD_CREDENTIALS,
            "your account is disabled",
        )
    return passed("the user is enabled" if facts.session.auth_user else "not authenticated")


@Rule
def needs_smtputf8(facts: Facts, policy: Policy) -> Finding:
    """A non-ASCII address needs SMTPUTF8 on MAIL (RFC 6531 3.4)."""
    assert facts.mail is not None
    if facts.mail.reverse_path.isascii() or facts.mail.smtputf8:
        return passed("the address is ASCII or SMTPUTF8 was given")
    return refuse(
        "a non-ASCII address without SMTPUTF8", 553, status.NEEDS_SMTPUTF8, "SMTPUTF8 is required"
    )


@Rule
def eight_bit_header(facts: Facts, policy: Policy) -> Finding:
    """Raw 8-bit octets in the header section need SMTPUTF8 (RFC 6532)."""
    assert facts.content is not None and facts.mail is not None
    if facts.content.eight_bit_header and not facts.mail.smtputf8:
        return refuse(
            "8-bit octets in the header without SMTPUTF8",
            550,
            "5.6.0",
            "the header has 8-bit characters but the message was sent without SMTPUTF8",
        )
    return passed("the header is ASCII or SMTPUTF8 was given")


def may_authenticate(facts: Facts, policy: Policy) -> bool:
    """Whether AUTH may be used, and so be offered in EHLO."""
    if facts.session.tls:
        return True
    return policy.auth_in_clear_on_loopback and facts.session.is_loopback


def _auth(facts: Facts) -> AuthFacts:
    assert facts.auth is not None
    return facts.auth
