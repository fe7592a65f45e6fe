"""The last step of a start: send one message by SMTP, see it in a Maildir, say how long it took.

Run by the appliance as a process of its own; whatever it finds, the appliance goes on.
"""

import http.client
import secrets
import smtplib
import socket
import time
import urllib.error
import urllib.request
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path

from courierweb.environment import Environment, load
from deploy.console import say

READY_WITHIN = 60.0
DOOR_OPEN_WITHIN = 10.0
DELIVERED_WITHIN = 30.0


class Failed(Exception):
    """The test has failed; the message says what was seen."""


def main() -> None:
    environment = load()
    try:
        wait_until_healthy(environment.http_port)
        milliseconds = send_and_find(environment)
    except Failed as error:
        say(f"self-test: FAILED: {error} (see {environment.home / 'log'})")
    else:
        say(f"self-test: ok, one message from SMTP to Maildir in {milliseconds:.0f} ms")


def wait_until_healthy(port: int) -> None:
    """Wait for GET /healthz to answer 200. Raises Failed with its last answer."""
    deadline = time.monotonic() + READY_WITHIN
    while True:
        answer = _healthz(port)
        if not answer:
            return
        if time.monotonic() > deadline:
            raise Failed(f"not ready after {READY_WITHIN:.0f} s: {answer}")
        time.sleep(0.1)


def _healthz(port: int) -> str:
    """What is wrong with the answer of /healthz; "" when it is 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10):
            return ""
    except urllib.error.HTTPError as error:
        body = error.read(300).decode(errors="replace")
        return f"/healthz answers {error.code} {' '.join(body.split())}"
    except (OSError, http.client.HTTPException) as error:
        return f"/healthz does not answer: {error}"


def wait_for_door(port: int) -> None:
    """Wait until the port is open: a process beats a moment before it listens."""
    deadline = time.monotonic() + DOOR_OPEN_WITHIN
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise Failed(f"port {port}: {error}") from error
            time.sleep(0.05)
        else:
            return


def send_and_find(environment: Environment) -> float:
    """Send a message to selftest@OURNAME and remove it from there. Returns milliseconds."""
    token = secrets.token_hex(16)
    message = _message(environment.hostname, token)
    wait_for_door(environment.smtp_port)
    begin = time.monotonic()
    try:
        with smtplib.SMTP("127.0.0.1", environment.smtp_port, timeout=30) as client:
            client.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise Failed(f"port {environment.smtp_port}: {_smtp_reply(error)}") from error
    arrived = _find(environment.mail_root / environment.hostname / "selftest/Maildir/new", token)
    milliseconds = (time.monotonic() - begin) * 1000
    arrived.unlink()
    return milliseconds


def _message(hostname: str, token: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = f"postmaster@{hostname}"
    message["To"] = f"selftest@{hostname}"
    message["Subject"] = "Self-test"
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{token}@{hostname}>"
    message.set_content("Sent by the appliance to itself at its start.\n")
    return message


def _smtp_reply(error: Exception) -> str:
    match error:
        case smtplib.SMTPRecipientsRefused():
            code, text = next(iter(error.recipients.values()))
            return f"{code} {text.decode(errors='replace')}"
        case smtplib.SMTPResponseException(smtp_code=code, smtp_error=bytes(text)):
            return f"{code} {text.decode(errors='replace')}"
    return str(error) or type(error).__name__


def _find(directory: Path, token: str) -> Path:
    """Wait for the file in the Maildir that holds the token. Raises Failed."""
    deadline = time.monotonic() + DELIVERED_WITHIN
    others: set[Path] = set()
    while time.monotonic() < deadline:
        for path in set(directory.glob("*")) - others:
            if token.encode() in path.read_bytes():
                return path
            others.add(path)
        time.sleep(0.005)
    raise Failed(f"accepted, but not in {directory} after {DELIVERED_WITHIN:.0f} s")


if __name__ == "__main__":
    main()
