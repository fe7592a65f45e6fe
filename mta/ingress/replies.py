"""Replies that no rule gives: about syntax, sequence and our own trouble."""

from mta.protocol import status
from mta.protocol.reply import Reply

BYE = Reply(221, "2.0.0", "goodbye")
OK = Reply(250, "2.0.0", "Ok")
HELP = Reply(214, "2.0.0", "See RFC 5321")
GO_AHEAD = Reply(354, "", "end with a dot on a line of its own")
TLS_READY = Reply(220, "2.0.0", "ready for TLS")
CANNOT_VERIFY = Reply(252, "2.1.5", "cannot verify, but will take mail and try")

NEED_HELO = Reply(503, status.BAD_COMMAND, "say HELO or EHLO first")
NEED_MAIL = Reply(503, status.BAD_COMMAND, "MAIL first")
NEED_RCPT = Reply(503, status.BAD_COMMAND, "RCPT first")
NESTED_MAIL = Reply(503, status.BAD_COMMAND, "a transaction is open already")
NO_VALID_RECIPIENTS = Reply(554, status.BAD_COMMAND, "no valid recipients")
NOT_IN_TRANSACTION = Reply(503, status.BAD_COMMAND, "not inside a transaction")
UNKNOWN_COMMAND = Reply(500, status.BAD_COMMAND, "command not recognized")
NOT_IMPLEMENTED = Reply(502, status.BAD_COMMAND, "command not implemented")
LINE_TOO_LONG = Reply(500, status.SYNTAX_ERROR, "line too long")
BARE_LINE_END = Reply(500, status.SYNTAX_ERROR, "lines must end in CRLF")
NO_ARGUMENT_ALLOWED = Reply(501, status.BAD_PARAMETERS, "no argument is allowed")
BAD_HELO = Reply(501, status.BAD_PARAMETERS, "a host name or address literal is expected")
MAIL_SYNTAX = Reply(501, status.BAD_PARAMETERS, "syntax: MAIL FROM:<address>")
RCPT_SYNTAX = Reply(501, status.BAD_PARAMETERS, "syntax: RCPT TO:<address>")
NULL_RECIPIENT = Reply(501, status.BAD_ADDRESS_SYNTAX, "the null address cannot receive mail")
NEEDS_SMTPUTF8 = Reply(553, status.NEEDS_SMTPUTF8, "SMTPUTF8 is required")
NOT_UTF8 = Reply(501, status.SYNTAX_ERROR, "the command is not valid UTF-8")

ALREADY_AUTHENTICATED = Reply(503, status.BAD_COMMAND, "already authenticated")
AUTH_UNKNOWN = Reply(504, status.BAD_PARAMETERS, "mechanism not supported")
AUTH_CANCELLED = Reply(501, status.SECURITY, "authentication cancelled")
AUTH_MALFORMED = Reply(501, status.SYNTAX_ERROR, "cannot decode the response")
TLS_ACTIVE = Reply(503, status.BAD_COMMAND, "TLS is active already")
TLS_UNAVAILABLE = Reply(454, "4.7.0", "TLS is not available")

LOCAL_TROUBLE = Reply(451, status.LOCAL_ERROR, "temporary trouble here, try again later")
NO_MEMORY = Reply(452, status.SYSTEM_FULL, "too much mail at once, try again later")
SHUTTING_DOWN = Reply(421, status.SYSTEM_NOT_ACCEPTING, "shutting down, try again later")
TOO_MANY_ERRORS = Reply(421, "4.7.0", "too many errors")
TIMED_OUT = Reply(421, status.BAD_CONNECTION, "timed out")
