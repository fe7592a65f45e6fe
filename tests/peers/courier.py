"""Courier, with a filter that lets CARLA refuse messages by their content.

Courier asks a program about every recipient, in place of which its own maildrop would stand: at
RCPT, where exit status 99 means "ask again when you have the message", and then with the message
on standard input, where what it prints is the refusal (localmailfilter(7)).
"""

from tests.peers.peer import PEOPLE, REFUSAL, UNWANTED, Peer
from tests.peers.root import Account
from tests.support.appliance import Maildir

# The name is compiled in.
OWNER = Account("courier", 20301, "/var/lib/courier")
USERS = tuple(Account(name, 20310 + n, f"/home/{name}") for n, name in enumerate(PEOPLE))
SPOOL = ("allfilters", "filters", "msgq", "msgs", "track", "tmp")
PROGRAMS = "/usr/lib/courier/courier"
# For its client and its server: what /etc/courier/courierd and esmtpd would set.
TLS = {
    "COURIERTLS": "/usr/bin/couriertls",
    "TLS_CERTFILE": "/etc/courier/esmtpd.pem",
    "TLS_VERIFYPEER": "NONE",
    "ESMTP_USE_STARTTLS": "1",
    "ESMTP_TLS_VERIFY_DOMAIN": "0",
}
DAEMON = {
    **TLS,
    "DEFAULTDELIVERY": "./Maildir",
    "DYNAMICDELIVERIES": "1",
    # Reports on mail that came by SMTP go back by SMTP.
    "ESMTP_BLOCKBACKSCATTER": "",
    "ESMTP_LOG_DIALOG": "1",
}
SERVER = {
    **TLS,
    "BOFHCHECKDNS": "0",
    "TARPIT": "0",
    "RELAYCLIENT": "",
    "ESMTP_LOG_DIALOG": "1",
}
FILTER_PATH = "/usr/local/bin/filter"
# Its arguments: -D UID/GID -M NAME HOST IP SENDER ...
FILTER = """\
#!/bin/sh
case "$4" in rcptfilter*) exit 99 ;; esac
[ "$HOME" = /home/carla ] || exit 0
grep -q '^{unwanted}:' || exit 0
echo "550 5.7.1 {refusal}"
exit 1
"""


class Courier(Peer):
    NAME = "courier"
    PACKAGES = ("courier-mta",)
    ACCOUNTS = (OWNER, *USERS)

    def configure(self) -> None:
        for place in ("/var/lib/courier", *(f"/var/lib/courier/{name}" for name in SPOOL)):
            self.root.directory(place, 0o770, OWNER.name)
        for place in ("/run/courier", "/run/courier/authdaemon"):
            self.root.directory(place, 0o770, OWNER.name)
        settings = {
            "me": self.hostname,
            "defaultdomain": self.domain,
            "locals": self.domain,
            "esmtpacceptmailfor": self.domain,
            "dsnfrom": f'"Courier" <postmaster@{self.domain}>',
            "enablefiltering": "esmtp",
            "maildropfilter": FILTER_PATH,
        }
        for name, value in settings.items():
            self.root.write(f"/etc/courier/{name}", f"{value}\n")
        self.route(self.ours, self.our_port)
        self.root.write(FILTER_PATH, FILTER.format(unwanted=UNWANTED, refusal=REFUSAL), 0o755)
        self.root.write("/etc/courier/esmtpd.pem", self.certificate(), 0o640, OWNER.name)
        for user in USERS:
            self.root.run("/usr/bin/maildirmake.courier", f"{user.home}/Maildir", account=user.name)

    def route(self, domain: str, port: int) -> None:
        """Send mail for the domain there; for the next message already."""
        routes = self.root.file("/etc/courier/esmtproutes")
        before = routes.read_text() if routes.exists() else ""
        self.root.write("/etc/courier/esmtproutes", f"{before}{domain}:[127.0.0.1],{port}\n")

    def launch(self) -> None:
        self.root.start("/usr/lib/courier/courier-authlib/authdaemond")
        self.root.start(f"{PROGRAMS}/courierd", variables=DAEMON)
        self.root.start(
            "/usr/sbin/couriertcpd",
            "-stderrlogger=/usr/sbin/courierlogger",
            "-nodnslookup",
            "-noidentlookup",
            f"-user={OWNER.name}",
            f"-group={OWNER.name}",
            "-address=127.0.0.1",
            str(self.port),
            "/usr/sbin/courieresmtpd",
            variables=SERVER,
        )

    def maildir(self, name: str) -> Maildir:
        (home,) = (user.home for user in USERS if user.name == name)
        return Maildir(self.root.file(home) / "Maildir")
