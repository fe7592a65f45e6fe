"""The macros that go with each command of the milter protocol.

Filters know them by the names that sendmail gave them; which come when is as its manual lists them
for rspamd, OpenDKIM, OpenDMARC and spamass-milter. What nobody knows is left out.
"""

from datetime import UTC, datetime
from email.utils import format_datetime

from mta.protocol.milter import Command
from mta.protocol.site_filter import FilterRequest

_SOFTWARE = "CourierWeb"


def client_name(request: FilterRequest) -> str:
    """How the client is called: nobody has looked its name up, so by its address."""
    if not request.client_ip:
        return request.helo or "localhost"
    return f"[{request.client_ip}]"


def macros_for(
    command: Command, request: FilterRequest, daemon_name: str, address: str = ""
) -> dict[str, str]:
    """Macro -> value for one command; `address` is the recipient at RCPT."""
    match command:
        case Command.CONNECT:
            values = _of_connection(request, daemon_name)
        case Command.HELO:
            values = {"s": request.helo, "r": "ESMTP", **_of_tls(request.tls)}
        case Command.MAIL:
            values = {
                "i": request.queue_id,
                **_of_user(request.auth_user),
                **_of_address("mail", request.reverse_path or ""),
            }
        case Command.RCPT:
            values = _of_address("rcpt", address)
        case Command.DATA | Command.END_OF_HEADERS | Command.END_OF_BODY:
            values = {"i": request.queue_id}
        case _:
            values = {}
    return {name: value for name, value in values.items() if value}


def _of_connection(request: FilterRequest, daemon_name: str) -> dict[str, str]:
    name = client_name(request)
    return {
        "j": request.hostname,
        "_": f"{name} [{request.client_ip}]" if request.client_ip else name,
        "v": _SOFTWARE,
        "b": format_datetime(datetime.fromtimestamp(request.at, UTC)),
        "{daemon_name}": daemon_name,
        "{if_name}": request.hostname,
        "{client_addr}": request.client_ip,
        "{client_name}": name,
    }


def _of_tls(tls: str) -> dict[str, str]:
    """`tls` is protocol and cipher, "" in clear."""
    version, _, cipher = tls.partition(" ")
    return {"{tls_version}": version, "{cipher}": cipher}


def _of_user(user: str) -> dict[str, str]:
    """Filters take somebody for signed in when there is a type; which one it was matters not."""
    return {"{auth_authen}": user, "{auth_type}": "SASL"} if user else {}


def _of_address(side: str, address: str) -> dict[str, str]:
    return {f"{{{side}_addr}}": address, f"{{{side}_host}}": address.rpartition("@")[2]}
