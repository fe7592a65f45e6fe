"""The portal of the owners of mailboxes."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    name = "courierweb.portal"
    label = "portal"
    verbose_name = "Portal"
