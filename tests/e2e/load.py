"""A client under whose load things are killed, and its ledger: what was acknowledged.

Every message goes to a mailbox and to another host. A sender that got no final answer sends its
message again, as every mail server does; that is the one way in which mail may come twice.
"""

import re
import smtplib
import threading
from collections import Counter
from typing import Self

from tests.support.appliance import Appliance, transfer, wait_for
from tests.support.sink import Sink

SENDERS = 4
# The senders leave the machine some room for what is being tested.
PAUSE = 0.02
RECONNECT_PAUSE = 0.2

_TOKEN = re.compile(rb"^X-Load: (\S+?)\r?$", re.MULTILINE)


class Load:
    """Sends from SENDERS threads between entering and leaving the context.

    `acknowledged` are the tokens of the messages that were answered with 250; `doubtful` those
    whose first answer never came; `refused_for_good` the 5yz replies, which should be none.
    """

    def __init__(self, appliance: Appliance, name: str, local: str, remote: str) -> None:
        self.acknowledged: set[str] = set()
        self.doubtful: set[str] = set()
        self.refused_for_good: list[str] = []
        self._appliance = appliance
        self._name = name
        self._recipients = [local, remote]
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(SENDERS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, count: int) -> None:
        """Wait until so many more messages are acknowledged."""
        wanted = len(self.acknowledged) + count
        wait_for(lambda: len(self.acknowledged) >= wanted, f"{count} more messages to be taken")

    def _run(self, sender: int) -> None:
        number = 0
        while not self._stopping.is_set():
            try:
                with self._appliance.smtp() as client:
                    while not self._stopping.is_set():
                        token = f"{self._name}.{sender}.{number}"
                        if self._send(client, token):
                            number += 1
                        self._stopping.wait(PAUSE)
            except (OSError, smtplib.SMTPException):
                self._stopping.wait(RECONNECT_PAUSE)

    def _send(self, client: smtplib.SMTP, token: str) -> bool:
        """Whether it is done with. Raises what a broken connection raises."""
        content = f"Subject: Load\r\nX-Load: {token}\r\n\r\n{'text ' * 12}\r\n".encode()
        try:
            transfer(client, "load@elsewhere.example", self._recipients, content)
        except smtplib.SMTPResponseException as error:
            with self._lock:
                if error.smtp_code // 100 == 5:
                    self.refused_for_good.append(str(error))
                # A database that died in mid-commit may have the message nevertheless.
                self.doubtful.add(token)
            client.rset()
            return False
        except (OSError, smtplib.SMTPException):
            with self._lock:
                self.doubtful.add(token)
            raise
        with self._lock:
            self.acknowledged.add(token)
        return True


class Arrivals:
    """What has come to a Maildir and to a sink, counted by token; reads every file once."""

    def __init__(self, appliance: Appliance, address: str, sink: Sink) -> None:
        self._box = appliance.maildir(address)
        self._sink = sink
        self._known: set[str] = set()
        self._read = 0
        self.local: Counter[str] = Counter()
        self.remote: Counter[str] = Counter()

    def look(self) -> None:
        for path in self._box.files():
            if path.name not in self._known:
                self._known.add(path.name)
                self.local[_token(path.read_bytes())] += 1
        messages = self._sink.messages[self._read :]
        self._read += len(messages)
        self.remote.update(_token(message.content) for message in messages)

    def missing(self, tokens: set[str]) -> set[str]:
        """The tokens that have not come to both places yet."""
        self.look()
        return {token for token in tokens if not (self.local[token] and self.remote[token])}

    def twice(self, tokens: set[str]) -> tuple[set[str], set[str]]:
        """Which of the tokens came more than once: to the Maildir, and to the other host."""
        self.look()
        local, remote = ({t for t in tokens if seen[t] > 1} for seen in (self.local, self.remote))
        return local, remote


def _token(content: bytes) -> str:
    found = _TOKEN.search(content)
    return found[1].decode() if found else ""
