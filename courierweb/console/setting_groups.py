"""The groups in which the page "Settings" shows the settings."""

from typing import Any

Group = tuple[str, dict[str, Any]]

SETTING_GROUPS: tuple[Group, ...] = (
    (
        "Messages",
        {
            "fields": (
                ("sizelimit", "maxhops"),
                ("headerlimit", "headerlines"),
                ("mimedepth", "mimeparts"),
                ("maxrcpts", "maxrcpts_submission"),
                "maxrcpts_hard",
            )
        },
    ),
    (
        "Clients",
        {
            "description": "0 is no limit where connections and failed sign-ins are counted.",
            "fields": (
                ("maxdaemons", "maxnewperip"),
                ("maxperip", "maxperc"),
                ("maxerrors", "maxunknown"),
                ("maxauthfailures", "mindatarate"),
                ("tarpit", "auth_in_clear_on_loopback"),
                ("vrfy", "expn"),
            ),
        },
    ),
    ("Senders", {"fields": (("checkdns", "checkhelo"),)}),
    (
        "SPF",
        {
            "description": "For each identity the results that are let through, separated by "
            "commas: none, neutral, pass, fail, softfail, error, unknown, or all; off does not "
            "ask. allowok spares who is on an allow list, mailfromok a From header whose "
            "MAIL FROM has passed.",
            "fields": (
                ("spf_helo", "spf_mailfrom"),
                ("spf_from", "spf_harderror"),
                ("spf_trustme", "spf_noverbose"),
            ),
        },
    ),
    (
        "Backscatter",
        {
            "description": "An address that failed lately is refused at once and not bounced "
            "again; so is mail from domains that would refuse the report.",
            "fields": (
                ("suppress_backscatter", "backscatter_window"),
                ("dsn_blacklist", "dsn_blacklist_after"),
                "dsn_blacklist_time",
            ),
        },
    ),
    (
        "Retries",
        {
            "description": "Tries come in rounds of retrybeta, retryalpha apart; between the "
            "rounds the pause grows from retrygamma, doubling at most retrymaxdelta times.",
            "fields": (
                ("retryalpha", "retrybeta"),
                ("retrygamma", "retrymaxdelta"),
                ("queuetime", "dsn_queuetime"),
                ("warntime", "submitdelay"),
                "backuprelay",
            ),
        },
    ),
    (
        "Delivery",
        {
            "fields": (
                ("maxhost", "batchsize"),
                ("esmtptimeoutconnect", "esmtptimeouthelo"),
                ("esmtptimeout", "esmtptimeoutdata"),
                ("esmtptimeoutquit", "lease"),
                "srs",
                ("dnssec", "mtasts"),
            )
        },
    ),
    (
        "System accounts",
        {
            "description": "Users of the system get their mail as their own instruction files say, "
            "and as themselves. What an alias runs or writes is run as aliasuser.",
            "fields": (
                ("systemaccounts", "minuid"),
                ("dotextension", "dynamicdeliveries"),
                "defaultdelivery",
                ("aliasuser", "commandtimeout"),
            ),
        },
    ),
    (
        "UUCP",
        {
            "description": "For mail to the UUCP neighbours. Who they are is a page of its own.",
            "fields": ("uucpme", "uuxflags", "uucprewriteheaders"),
        },
    ),
    ("Reports", {"fields": (("dsnlimit", "dsn_postmaster"),)}),
    (
        "Self-care",
        {
            "fields": (
                ("keep_history", "keep_content"),
                ("keep_refusals", "keep_tls"),
                "keep_destinations",
                ("keep_temporary", "keep_trash"),
                ("minfree", "respawnmemory"),
                ("respawnlo", "respawnhi"),
            )
        },
    ),
)
