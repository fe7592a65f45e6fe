"""Exim: its own queue and mailboxes, PRDR, and a log of all it can tell about a message."""

from tests.peers.peer import PEOPLE, REFUSAL, UNWANTED, Peer
from tests.peers.root import Account
from tests.support.appliance import Maildir

# The name is compiled in.
OWNER = Account("Debian-exim", 20201)
BOX = Account("vmail", 20203, "/var/vmail")

CONFIGURATION = """\
primary_hostname = {hostname}
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%slog
log_selector = +all
keep_environment =
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts = *
tls_certificate = /etc/exim4/tls.pem
tls_privatekey = /etc/exim4/tls.pem
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
prdr_enable = true
acl_smtp_rcpt = check_recipient
acl_smtp_data_prdr = ask_recipient
acl_smtp_data = accept

begin acl
check_recipient:
  require message = no such person here
          verify = recipient
  accept
ask_recipient:
  deny local_parts = carla
       condition = ${{if def:h_{unwanted}:}}
       message = {refusal}
  accept

begin routers
to_us:
  driver = manualroute
  domains = {ours}
  route_list = * 127.0.0.1::{our_port}
  self = send
  transport = smtp
local:
  driver = accept
  domains = {domain}
  local_parts = {people}
  transport = maildir

begin transports
smtp:
  driver = smtp
  allow_localhost
  hosts_try_dane =
  hosts_try_prdr = *
maildir:
  driver = appendfile
  directory = {mail}/$local_part_data
  maildir_format
  delivery_date_add
  envelope_to_add
  return_path_add
  user = {box}
  group = {box}

begin retry
* * F,1h,1m
"""


class Exim(Peer):
    NAME = "exim"
    PACKAGES = ("exim4-daemon-light",)
    ACCOUNTS = (OWNER, BOX)

    def configure(self) -> None:
        for place in ("/var/spool/exim4", "/var/log/exim4"):
            self.root.directory(place, 0o750, OWNER.name)
        self.root.write("/etc/exim4/tls.pem", self.certificate(), 0o640, OWNER.name)
        configuration = CONFIGURATION.format(
            hostname=self.hostname,
            domain=self.domain,
            port=self.port,
            ours=self.ours,
            our_port=self.our_port,
            people=" : ".join(PEOPLE),
            mail=BOX.home,
            box=BOX.name,
            unwanted=UNWANTED,
            refusal=REFUSAL,
        )
        self.root.write("/etc/exim4/exim4.conf", configuration)

    def launch(self) -> None:
        self.root.start("/usr/sbin/exim4", "-bdf")

    def maildir(self, name: str) -> Maildir:
        return Maildir(self.root.file(BOX.home) / name)

    def log(self) -> str:
        logs = sorted(self.root.file("/var/log/exim4").glob("*log"))
        return super().log() + "".join(log.read_text(errors="replace") for log in logs)
