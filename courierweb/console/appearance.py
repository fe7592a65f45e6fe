"""How django-unfold dresses the console: names, colours, navigation.

Read by the settings, so nothing here may import Django models.
"""

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy


def _item(title: str, icon: str, url_name: str, badge: str | None = None) -> dict[str, Any]:
    item: dict[str, Any] = {"title": title, "icon": icon, "link": reverse_lazy(url_name)}
    if badge:
        item["badge"] = badge
        item["badge_variant"] = "info"
    return item


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "CourierWeb",
    "SITE_HEADER": "CourierWeb",
    "SITE_SUBHEADER": "courierweb.console.frame.hostname",
    "SITE_SYMBOL": "outgoing_mail",
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("console/favicon.svg"),
        }
    ],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "6px",
    "STYLES": [lambda request: static("console/console.css")],
    "SCRIPTS": [lambda request: static("console/console.js")],
    "LOGIN": {"form": "courierweb.console.sign_in.SignInForm"},
    "DASHBOARD_CALLBACK": "courierweb.console.home.dashboard",
    "GLOBAL_CALLBACK": "courierweb.console.frame.context",
    "COLORS": {
        "primary": {
            "50": "oklch(97.1% .014 243)",
            "100": "oklch(94.2% .030 243)",
            "200": "oklch(88.8% .058 243)",
            "300": "oklch(81% .102 243)",
            "400": "oklch(71.6% .145 245)",
            "500": "oklch(62.8% .166 250)",
            "600": "oklch(54.2% .172 253)",
            "700": "oklch(47.8% .155 254)",
            "800": "oklch(41.6% .129 255)",
            "900": "oklch(36.9% .104 256)",
            "950": "oklch(27.8% .078 258)",
        },
    },
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {
                "items": [
                    _item("Home", "monitoring", "admin:index"),
                    _item("Search", "search", "console:search"),
                ],
            },
            {
                "title": "Mail",
                "separator": True,
                "items": [
                    _item(
                        "Queue", "stacked_email", "console:queue", "courierweb.console.frame.live"
                    ),
                    _item("Destinations", "lan", "console:destinations"),
                    _item("Refused", "block", "console:refusals"),
                    _item("TLS", "lock", "console:tls"),
                    _item("Explain", "help", "console:explain"),
                ],
            },
            {
                "title": "Domains & people",
                "separator": True,
                "items": [
                    _item("Domains", "domain", "admin:mta_domain_changelist"),
                    _item("Mailboxes", "inbox", "admin:mta_mailbox_changelist"),
                    _item("Aliases", "alternate_email", "admin:mta_alias_changelist"),
                    _item("Address resolver", "conversion_path", "console:address"),
                ],
            },
            {
                "title": "Policy",
                "separator": True,
                "items": [
                    _item("Rules", "checklist", "console:rules"),
                    _item("Site filters", "filter_alt", "admin:mta_sitefilter_changelist"),
                    _item("Access rules", "shield", "admin:mta_accessrule_changelist"),
                    _item("Listeners", "door_front", "admin:mta_listener_changelist"),
                    _item("Routes", "alt_route", "admin:mta_route_changelist"),
                    _item("UUCP neighbours", "cable", "admin:mta_uucpneighbor_changelist"),
                    _item("Programs", "terminal", "admin:mta_program_changelist"),
                    _item("Webhooks", "webhook", "admin:mta_webhook_changelist"),
                    _item("Retry times", "schedule", "admin:mta_retryoverride_changelist"),
                    _item("Delivery limits", "speed", "admin:mta_deliverylimit_changelist"),
                    _item("Report texts", "edit_note", "admin:mta_reporttext_changelist"),
                    _item("Settings", "tune", "admin:mta_settings_changelist"),
                    _item("Changes", "history", "admin:mta_policychange_changelist"),
                ],
            },
            {
                "title": "Lists",
                "separator": True,
                "collapsible": True,
                "items": [
                    _item("DNS lists", "dns", "admin:mta_dnslist_changelist"),
                    _item("Bad senders", "person_off", "admin:mta_badsender_changelist"),
                    _item(
                        "Freemail domains", "mark_email_read", "admin:mta_freemaildomain_changelist"
                    ),
                    _item("Bad mail hosts", "gpp_bad", "admin:mta_badmailhost_changelist"),
                    _item("Spam traps", "pest_control", "admin:mta_spamtrap_changelist"),
                    _item("Failing addresses", "report", "admin:mta_addresstrouble_changelist"),
                    _item("Refuse our reports", "unsubscribe", "admin:mta_dsnrefuser_changelist"),
                ],
            },
            {
                "title": "System",
                "separator": True,
                "items": [_item("Administrators", "group", "admin:auth_user_changelist")],
            },
        ],
    },
}
