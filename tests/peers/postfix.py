"""Postfix: its own queue and mailboxes, and a log with every command that it sends and gets."""

from pathlib import Path

from tests.peers.peer import PEOPLE, Peer
from tests.peers.root import Account
from tests.support.appliance import Maildir

OWNER = Account("postfix", 20101)
DROP = Account("postdrop", 20102)
BOX = Account("vmail", 20103, "/var/vmail")
QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming")
OTHERS = ("private", "saved", "trace", "public", "maildrop")
DAEMONS = "/usr/lib/postfix/sbin"

MAIN = """\
compatibility_level = 3.6
mail_owner = postfix
setgid_group = postdrop
maillog_file = /var/log/postfix.log
myhostname = {hostname}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtp_host_lookup = native
transport_maps = inline:{{ {ours}=smtp:[127.0.0.1]:{our_port} }}
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {mail}
virtual_mailbox_maps = inline:{{ {boxes} }}
virtual_uid_maps = static:{box}
virtual_gid_maps = static:{box}
virtual_minimum_uid = 1
smtpd_tls_chain_files = /etc/postfix/tls.pem
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
smtp_tls_security_level = may
debug_peer_list = 127.0.0.1
"""
MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
scache unix - - n - 1 scache
error unix - - n - - error
retry unix - - n - - error
smtp unix - - n - - smtp
virtual unix - n n - - virtual
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix(Peer):
    NAME = "postfix"
    PACKAGES = ("postfix",)
    ACCOUNTS = (OWNER, DROP, BOX)

    def configure(self) -> None:
        spool = "/var/spool/postfix"
        self.root.directory(spool)
        self.root.directory(f"{spool}/pid")
        for name in (*QUEUES, *OTHERS):
            self.root.directory(f"{spool}/{name}", 0o700, OWNER.name)
        self.root.directory("/var/lib/postfix", 0o700, OWNER.name)
        self.root.directory("/var/log")
        self.root.write("/etc/postfix/tls.pem", self.certificate(), 0o600)
        self.root.write("/etc/postfix/main.cf", MAIN.format(**self._values()))
        self.root.write("/etc/postfix/master.cf", MASTER.format(port=self.port))

    def _values(self) -> dict[str, object]:
        return {
            "hostname": self.hostname,
            "domain": self.domain,
            "ours": self.ours,
            "our_port": self.our_port,
            "mail": BOX.home,
            "box": BOX.number,
            "boxes": ", ".join(f"{self.address(name)}={name}/" for name in PEOPLE),
        }

    def launch(self) -> None:
        self.root.start(f"{DAEMONS}/master", "-d")

    def maildir(self, name: str) -> Maildir:
        return Maildir(self.root.file(BOX.home) / name)

    def log(self) -> str:
        log: Path = self.root.file("/var/log/postfix.log")
        return super().log() + (log.read_text(errors="replace") if log.exists() else "")
