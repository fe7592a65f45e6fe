"""Dovecot, which keeps mailboxes and takes mail for them by LMTP; CARLA's has no room.

It sends nothing, so there is nothing to come from it.
"""

from tests.peers.peer import PEOPLE, Peer
from tests.peers.root import Account
from tests.support.appliance import Maildir

# The names are compiled in.
INSIDE, LOGIN = Account("dovecot", 20401), Account("dovenull", 20402)
OWNER = Account("vmail", 20403, "/srv/vmail")
SOCKET = "/run/dovecot/lmtp"
FULL = "carla"
CONFIGURATION = """\
protocols = lmtp
base_dir = /run/dovecot
state_dir = /var/lib/dovecot
log_path = /dev/stderr
hostname = {hostname}
ssl = no
first_valid_uid = {owner}
mail_location = maildir:/srv/vmail/%n/Maildir
mail_plugins = quota
passdb {{
  driver = passwd-file
  args = /etc/dovecot/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%n /etc/dovecot/users
}}
plugin {{
  quota = maildir:User quota
}}
protocol lmtp {{
  postmaster_address = postmaster@{domain}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
  unix_listener lmtp {{
    mode = 0666
  }}
}}
"""


class Dovecot(Peer):
    NAME = "dovecot"
    PACKAGES = ("dovecot-lmtpd",)
    ACCOUNTS = (INSIDE, LOGIN, OWNER)

    @property
    def relay(self) -> str:
        return f"lmtp:[127.0.0.1]:{self.port}"

    @property
    def socket(self) -> str:
        """The same server by a socket, as a route names it."""
        return f"lmtp:{self.root.file(SOCKET)}"

    def configure(self) -> None:
        text = CONFIGURATION.format(
            hostname=self.hostname,
            domain=self.domain,
            port=self.port,
            owner=OWNER.number,
        )
        self.root.write("/etc/dovecot/dovecot.conf", text)
        self.root.write("/etc/dovecot/users", "".join(map(_line, PEOPLE)), 0o640, INSIDE.name)

    def launch(self) -> None:
        self.root.start("/usr/sbin/dovecot", "-F")

    def maildir(self, name: str) -> Maildir:
        return Maildir(self.root.file(f"{OWNER.home}/{name}/Maildir"))


def _line(name: str) -> str:
    """A user as passwd(5) has it, with an own quota behind."""
    quota = "userdb_quota_rule=*:bytes=1" if name == FULL else ""
    return f"{name}::{OWNER.number}:{OWNER.number}::{OWNER.home}/{name}::{quota}\n"
