"""Next hops as people write them, for mail that is rerouted by hand."""

from mta.models.route import DISCARD, Route
from mta.policy.routing import relay_word
from mta.protocol import address
from mta.protocol.esmtproutes import parse_relay
from mta.protocol.route_target import FORMS as TARGETS
from mta.protocol.route_target import is_target, parse_target, split_target

NORMAL = "normal"
FORMS = f"HOST[:PORT][/REQUIRED|/SMTPS], mx:DOMAIN, {TARGETS}, {DISCARD}, or {NORMAL}"


def parse(text: str) -> tuple[str, str] | None:
    """(transport, next hop) of what was typed; None for "normal", back to where the address goes.

    Raises ValueError with a sentence.
    """
    text = text.strip()
    if text == NORMAL:
        return None
    if text == DISCARD:
        return DISCARD, f"{DISCARD}:"
    if text.startswith("mx:"):
        try:
            return "esmtp", f"mx:{address.normalize_domain(text.removeprefix('mx:'))}"
        except address.AddressError as error:
            raise ValueError(f"{text}: {error}") from error
    if is_target(text):
        target = parse_target(text)
        return split_target(target)[0], target
    relay, slash, security = text.partition("/")
    if slash and security not in Route.Security.values:
        raise ValueError(f"{security!r} is neither REQUIRED nor SMTPS")
    if not relay:
        raise ValueError(f"write {FORMS}")
    return "esmtp", relay_word(*parse_relay(relay), security)
