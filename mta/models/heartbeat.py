"""Signs of life of the parts of the appliance, for /healthz and the console."""

from django.db import models


class Heartbeat(models.Model):
    """One row per running process of a part ("ingress", "managesieve", "submit",
    "worker-local", "worker-remote", "beat", "rq"); `info` holds what the
    part has to tell (connections, version)."""

    part = models.CharField(max_length=20)
    host = models.CharField(max_length=100)
    pid = models.IntegerField()
    started_at = models.DateTimeField()
    at = models.DateTimeField()
    info = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["part", "host", "pid"], name="heartbeat_process"),
        ]

    def __str__(self) -> str:
        return f"{self.part} {self.host}/{self.pid}"
