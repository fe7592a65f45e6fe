"""What the console itself remembers; everything about mail is in `mta.models`."""

from django.db import models


class FailedSignIn(models.Model):
    """Somebody tried to sign in at the console and could not. Kept for as long as it counts
    (`courierweb.console.sign_in`). `client_ip` is "" behind a socket that has no addresses."""

    at = models.DateTimeField()
    client_ip = models.TextField()
    username = models.CharField(max_length=150)

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(fields=["client_ip", "at"], name="failed_sign_in_client"),
            models.Index(fields=["username", "at"], name="failed_sign_in_username"),
        ]

    def __str__(self) -> str:
        return f"{self.username} from {self.client_ip or 'here'}"
