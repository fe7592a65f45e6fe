"""Signing in, whatever protocol the mechanism's messages travel in (SMTP AUTH, ManageSieve)."""

import logging
from collections.abc import Awaitable, Callable

from mta.ingress import auth
from mta.ingress.gate import PolicyGate

log = logging.getLogger(__name__)

Respond = Callable[[auth.Challenge], Awaitable[bytes | None]]


async def carry_out(
    exchange: auth.Exchange, gate: PolicyGate, respond: Respond
) -> auth.Outcome | None:
    """Give the exchange what it wants. `respond` sends a challenge and gives the decoded response,
    None when the client cancels; then so does this. Raises Malformed."""
    try:
        wanted = next(exchange)
        while True:
            if isinstance(wanted, auth.KeysWanted):
                wanted = exchange.send(await gate.scram_keys(wanted.user))
                continue
            response = await respond(wanted)
            if response is None:
                return None
            wanted = exchange.send(response)
    except StopIteration as done:
        outcome: auth.Outcome = done.value
        return outcome


async def is_user(outcome: auth.Outcome, gate: PolicyGate, client_ip: str) -> bool:
    """Whether the client is the enabled mailbox it claims to be, and asks to be nobody else."""
    if isinstance(outcome, auth.Refused):
        user = ascii(outcome.user)
        log.info("%s of %s from %s: %s", outcome.mechanism, user, client_ip, outcome.reason)
        return False
    if outcome.authorization.lower() not in ("", outcome.user.lower()):
        return False
    if isinstance(outcome, auth.Credentials):
        return await gate.authenticate(outcome.user, outcome.password)
    return (await gate.user(outcome.user)).enabled
