"""Step 1: every command the ingress knows, and the function that carries it out."""

from collections.abc import Mapping

from mta.ingress import address_verbs, auth_verb, bdat_verb, mail_verbs, session_verbs
from mta.ingress.session import Verb

VERBS: Mapping[bytes, Verb] = {
    b"HELO": session_verbs.helo,
    b"EHLO": session_verbs.ehlo,
    b"STARTTLS": session_verbs.starttls,
    b"AUTH": auth_verb.auth_,
    b"MAIL": mail_verbs.mail,
    b"RCPT": mail_verbs.rcpt,
    b"DATA": mail_verbs.data,
    b"BDAT": bdat_verb.bdat,
    b"RSET": session_verbs.rset,
    b"NOOP": session_verbs.noop,
    b"QUIT": session_verbs.quit_,
    b"VRFY": address_verbs.vrfy,
    b"EXPN": address_verbs.expn,
    b"HELP": session_verbs.help_,
    b"ETRN": session_verbs.not_implemented,
    b"TURN": session_verbs.not_implemented,
}
