"""retrytimes ADDRESS|QUEUE_ID: when the next attempts of a recipient come, should each fail."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta import retry_times
from mta.management.appliance_command import ApplianceCommand, add_json, message_ids, printable
from mta.models import Message
from mta.protocol.address import AddressError
from mta.retry_times import Forecast


class Command(ApplianceCommand):
    help = "Tell when a recipient will be tried: one in the queue, or an address from now on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("subject", metavar="ADDRESS|QUEUE_ID")
        parser.add_argument(
            "--most", type=int, default=retry_times.MOST, help="attempts to tell at most"
        )
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        most = options["most"]
        if not 0 < most <= 10_000:
            raise CommandError("--most is a number from 1 to 10000")
        forecasts = _forecasts(options["subject"], most)
        if options["json"]:
            self.write_json([_as_json(forecast) for forecast in forecasts])
            return
        for forecast in forecasts:
            self.write_forecast(forecast)

    def write_forecast(self, forecast: Forecast) -> None:
        where = printable(" ".join(filter(None, (forecast.transport, forecast.nexthop))))
        state = f", {forecast.state}" if forecast.state else ""
        self.stdout.write(
            f"{printable(forecast.address)} by {where or 'nobody'}{state},"
            f" {forecast.attempts} attempts so far, given up after"
            f" {forecast.expires_at:%Y-%m-%d %H:%M:%S %Z}"
        )
        for number, at in enumerate(forecast.times, start=forecast.attempts + 1):
            self.stdout.write(f"{number:6d}  {at:%Y-%m-%d %H:%M:%S %Z}")
        if not forecast.complete:
            self.stdout.write("        and so on")


def _forecasts(subject: str, most: int) -> list[Forecast]:
    if "@" in subject:
        try:
            return [retry_times.of_address(subject, most)]
        except AddressError as error:
            raise CommandError(f"{subject}: {error}") from error
    (message_id,) = message_ids([subject])
    if not Message.objects.filter(id=message_id).exists():
        raise CommandError(f"there is no message {subject}")
    forecasts = retry_times.of_message(message_id, most)
    if not forecasts:
        raise CommandError(f"nothing of {subject} waits for delivery any more")
    return forecasts


def _as_json(forecast: Forecast) -> dict[str, Any]:
    return {
        "address": forecast.address,
        "state": forecast.state,
        "transport": forecast.transport,
        "nexthop": forecast.nexthop,
        "attempts": forecast.attempts,
        "expires_at": forecast.expires_at,
        "times": [at.isoformat() for at in forecast.times],
        "complete": forecast.complete,
    }
