"""Enhanced status codes (RFC 3463) that this server gives out, by their meaning.

A status is a string "class.subject.detail"; the class (2 success, 4 transient, 5 permanent)
may be swapped with `with_class` when the same condition is judged differently.
"""

SUCCESS = "2.0.0"
DESTINATION_VALID = "2.1.5"
UNDEFINED_TRANSIENT = "4.0.0"
UNDEFINED_PERMANENT = "5.0.0"
BAD_MAILBOX = "5.1.1"
BAD_DOMAIN = "5.1.2"
BAD_ADDRESS_SYNTAX = "5.1.3"
BAD_SENDER_SYNTAX = "5.1.7"
BAD_SENDER_DOMAIN = "5.1.8"
NULL_MX = "5.1.10"
MAILBOX_FULL = "4.2.2"
SYSTEM_FULL = "4.3.1"
SYSTEM_NOT_ACCEPTING = "4.3.2"
LOCAL_ERROR = "4.3.0"
TOO_BIG = "5.3.4"
NO_ANSWER = "4.4.1"
BAD_CONNECTION = "4.4.2"
DNS_TROUBLE = "4.4.3"
UNROUTABLE = "5.4.4"
ROUTING_LOOP = "5.4.6"
EXPIRED = "5.4.7"
BAD_COMMAND = "5.5.1"
SYNTAX_ERROR = "5.5.2"
TOO_MANY_RECIPIENTS = "4.5.3"
BAD_PARAMETERS = "5.5.4"
BAD_CONTENT = "5.6.0"
NO_8BIT = "5.6.3"
NEEDS_SMTPUTF8 = "5.6.7"
SECURITY = "5.7.0"
NOT_PERMITTED = "5.7.1"
BAD_CREDENTIALS = "5.7.8"


def with_class(status: str, digit: str) -> str:
    """The same subject and detail with another class: ``with_class("5.1.1", "4") == "4.1.1"``."""
    return digit + status[1:]
