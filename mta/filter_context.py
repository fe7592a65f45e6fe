"""Step 3, what site filters may use of the appliance: the database, and other hosts' word.

Everything here blocks, so it is done in threads; whoever waits for it may give up, and then it
ends by itself. Trouble is told as such and logged.
"""

import asyncio
import logging
import pwd
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError

from mta.filters.base import FilterContext, Trouble
from mta.ingress.gate import reconnecting
from mta.protocol import status
from mta.protocol.reply import Reply
from mta.protocol.sender_check import SenderQuestion, SenderWord, Standing
from mta.protocol.sending_rate import Booking, Usage
from mta.protocol.slew import Sighting, Word
from mta.queue import sending_rates, slews, verifications
from mta.transports.base import DeliveryContext
from mta.transports.esmtp import Esmtp
from mta.transports.esmtp_probe import probe

log = logging.getLogger(__name__)

DATABASE_THREADS = 4
# Courier's nthreads: so many hosts are asked at once by each process, and no more.
PROBES = 10
# Who is asked about beyond that would wait for longer than a client does.
MOST_ASKED = 100
# A probe that ends by its own time limit has an answer to tell.
GRACE_SECONDS = 1.0

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


class Appliance:
    """One per process; `context` is what kinds are given.

    `route` gives (transport, next hop) of an address, None when nobody takes it; `deliveries` is
    the context of a delivery by the policy in force.
    """

    def __init__(
        self,
        route: Callable[[str, str], tuple[str, str] | None],
        deliveries: Callable[[], DeliveryContext],
        esmtp: Esmtp,
    ) -> None:
        self._route = route
        self._deliveries = deliveries
        self._esmtp = esmtp
        self._threads = ThreadPoolExecutor(DATABASE_THREADS, "filters")
        self._probes = ThreadPoolExecutor(PROBES, "probes")
        # Reentrant: what is over at once calls `_answered` from within.
        self._lock = threading.RLock()
        self._asked: dict[str, Future[SenderWord]] = {}

    @property
    def context(self) -> FilterContext:
        return FilterContext(self.sighting, self.booking, self.ask_about, self.user_name)

    async def sighting(self, sighting: Sighting) -> Word:
        return await self._ask_database(slews.see, sighting)

    async def booking(self, usage: Usage) -> Booking:
        return await self._ask_database(sending_rates.book, usage)

    async def user_name(self, uid: int) -> str:
        return await asyncio.wrap_future(self._threads.submit(_user_name, uid))

    async def ask_about(self, question: SenderQuestion) -> SenderWord:
        """What is known, else what the hosts say. Those who ask about one sender at a time share
        one probe."""
        known = await self._ask_database(verifications.known, question.key)
        if known is not None:
            return known
        with self._lock:
            asked = self._asked.get(question.key)
            if asked is None:
                if len(self._asked) >= MOST_ASKED:
                    raise Trouble("too many senders are verified at the moment")
                asked = self._probes.submit(self._probe, question)
                self._asked[question.key] = asked
                asked.add_done_callback(lambda done: self._answered(question.key))
        try:
            # The others go on waiting when one of them gives up.
            return await asyncio.wait_for(
                asyncio.shield(asyncio.wrap_future(asked)), question.seconds + GRACE_SECONDS
            )
        except TimeoutError as error:
            raise Trouble("the hosts of the sender's domain are too slow") from error
        except (DatabaseError, InterfaceError) as error:
            raise Trouble("the database does not answer") from error

    def _answered(self, key: str) -> None:
        with self._lock:
            self._asked.pop(key, None)

    async def _ask_database(
        self, ask: Callable[_Given, _Result], *args: _Given.args, **kwargs: _Given.kwargs
    ) -> _Result:
        done = self._threads.submit(lambda: reconnecting(lambda: ask(*args, **kwargs)))
        try:
            return await asyncio.wrap_future(done)
        except (DatabaseError, InterfaceError) as error:
            log.warning("a filter asks in vain: %s", error)
            raise Trouble("the database does not answer") from error

    def _probe(self, question: SenderQuestion) -> SenderWord:
        """In a thread of its own."""
        word = self._hosts_say(question)
        keep = {
            Standing.GOOD: question.keep_good,
            Standing.REFUSED: question.keep_refused,
            Standing.LATER: question.keep_later,
        }.get(word.standing, 0.0)
        if keep:
            reconnecting(lambda: verifications.remember(question.key, word, keep))
        return word

    def _hosts_say(self, question: SenderQuestion) -> SenderWord:
        """Only mail that leaves by ESMTP has hosts that can be asked: never we ourselves, whose
        own filter would ask back."""
        way = reconnecting(lambda: self._route(question.sender, ""))
        if way is None or way[0] != self._esmtp.name:
            return SenderWord(Standing.OURS, Reply(250, status.SUCCESS, "not by ESMTP"))
        delivery = self._deliveries()
        names = ("connect", "helo", "command", "session")
        timeouts = {**delivery.timeouts, **dict.fromkeys(names, question.seconds), "quit": 1.0}
        found = probe(question.sender, way[1], self._esmtp, replace(delivery, timeouts=timeouts))
        return SenderWord(_standing(found.reply), found.reply, found.remote)


def _standing(reply: Reply) -> Standing:
    if reply.is_positive:
        return Standing.GOOD
    return Standing.REFUSED if reply.is_permanent else Standing.LATER


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
