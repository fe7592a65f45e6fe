"""The cache by itself, and what a session of lookups notices of it."""

import threading

import pytest

from mta.protocol.dns_cache import NEGATIVE, POSITIVE, TROUBLE, AnswerCache
from mta.protocol.dns_resolver import Answers, DnsResolver
from mta.protocol.mx import DnsTrouble, NoSuchDomain
from tests.support.dns import DnsServer, Trouble, txt


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_an_answer_is_kept_until_its_time_is_over(clock: Clock) -> None:
    cache: AnswerCache[str] = AnswerCache(clock=clock)
    cache.put("question", "answer", 10)
    clock.now += 9.9
    assert cache.get("question") == "answer"
    clock.now += 0.2
    assert cache.get("question") is None
    assert len(cache) == 0


def test_an_answer_without_time_is_not_kept() -> None:
    cache: AnswerCache[str] = AnswerCache()
    cache.put("question", "answer", 0)
    assert cache.get("question") is None


def test_a_full_cache_forgets_what_was_least_wanted() -> None:
    cache: AnswerCache[int] = AnswerCache(max_entries=2)
    cache.put("a", 1, 60)
    cache.put("b", 2, 60)
    cache.get("a")
    cache.put("c", 3, 60)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)


def test_a_newer_answer_replaces_the_old_one_and_clear_forgets_all() -> None:
    cache: AnswerCache[int] = AnswerCache()
    cache.put("a", 1, 60)
    cache.put("a", 2, 60)
    assert (cache.get("a"), len(cache)) == (2, 1)
    cache.clear()
    assert cache.get("a") is None


def test_many_threads_share_it_within_its_bounds() -> None:
    cache: AnswerCache[int] = AnswerCache(max_entries=50)
    wrong: list[object] = []

    def work(offset: int) -> None:
        for n in range(2000):
            key = (n + offset) % 100
            cache.put(key, key, 60)
            if cache.get(key) not in (key, None):
                wrong.append(key)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(cache) == 50


# --- with a resolver

ZONE = {
    "a.example": {"A": ["192.0.2.1"]},
    "alias.example": {"CNAME": ["a.example"]},
    "broken.example": Trouble.SERVFAIL,
    "silent.example": Trouble.TIMEOUT,
    "large.example": {"TXT": txt("x" * 9000)},
}


@pytest.fixture
def server():
    with DnsServer(ZONE) as dns:
        yield dns


def test_sessions_share_answers_without_asking_again(server: DnsServer, clock: Clock) -> None:
    cache: Answers = AnswerCache(clock=clock)
    for name in ("a.example", "A.Example", "a.example."):
        assert DnsResolver(server.address, cache=cache).ipv4(name) == ("192.0.2.1",)
    assert len(server.queries) == 1
    clock.now += POSITIVE
    DnsResolver(server.address, cache=cache).ipv4("a.example")
    assert len(server.queries) == 2


def test_the_time_to_live_of_the_record_is_respected(server: DnsServer, clock: Clock) -> None:
    cache: Answers = AnswerCache(clock=clock)
    DnsResolver(server.address, cache=cache).ipv4("alias.example")
    clock.now += 61  # the server gives 60 seconds
    DnsResolver(server.address, cache=cache).ipv4("alias.example")
    assert len(server.queries) == 2


def test_kinds_of_records_are_kept_apart(server: DnsServer) -> None:
    resolver = DnsResolver(server.address, cache=AnswerCache())
    assert resolver.ipv4("a.example") == ("192.0.2.1",)
    assert resolver.ipv6("a.example") == ()
    assert resolver.ipv4("a.example") == ("192.0.2.1",)


@pytest.mark.parametrize(
    ("name", "error", "seconds"),
    [("gone.example", NoSuchDomain, NEGATIVE), ("broken.example", DnsTrouble, TROUBLE)],
)
def test_errors_are_kept_for_a_shorter_time(
    server: DnsServer, clock: Clock, name: str, error: type[Exception], seconds: int
) -> None:
    cache: Answers = AnswerCache(clock=clock)
    for _ in range(3):
        with pytest.raises(error):
            DnsResolver(server.address, cache=cache).ipv4(name)
    asked = len(server.queries)
    clock.now += seconds
    with pytest.raises(error):
        DnsResolver(server.address, cache=cache).ipv4(name)
    assert asked < len(server.queries)


def test_our_own_impatience_is_not_kept_against_a_name(server: DnsServer) -> None:
    cache: Answers = AnswerCache()
    hurried = DnsResolver(server.address, lifetime=0.2, cache=cache)
    for n in range(4):
        with pytest.raises(DnsTrouble):
            hurried.ipv4("silent.example" if n == 0 else f"silent{n}.example")
        server.zone[f"silent{n + 1}.example"] = Trouble.TIMEOUT
    with pytest.raises(DnsTrouble):
        hurried.ipv4("a.example")
    assert DnsResolver(server.address, cache=cache).ipv4("a.example") == ("192.0.2.1",)


def test_a_large_answer_and_a_malformed_name_take_no_place(server: DnsServer) -> None:
    cache: Answers = AnswerCache()
    resolver = DnsResolver(server.address, cache=cache)
    assert resolver.txt("large.example") == ("x" * 9000,)
    with pytest.raises(NoSuchDomain):
        resolver.ipv4("y" * 60_000)
    assert len(cache) == 0
