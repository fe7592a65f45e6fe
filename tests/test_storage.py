"""How much room is left, and what waits when it is too little."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from mta import runtime, storage
from mta.models import Recipient, Settings
from mta.storage import Storage
from tests.queue.rows import make_message


def test_a_shortage_is_told_and_looked_at_again_after_a_second(tmp_path: Path, monkeypatch):
    now = [0.0]
    octets = [5 << 20]
    monkeypatch.setattr(storage, "free", lambda path: octets[0])
    disk = Storage([tmp_path], clock=lambda: now[0])
    assert disk.shortage(0) == ""
    assert disk.shortage(4 << 20) == ""
    assert "5 MiB are free" in disk.shortage(6 << 20)
    octets[0] = 9 << 20
    assert disk.shortage(6 << 20)
    now[0] = 1.5
    assert disk.shortage(6 << 20) == ""


def test_a_directory_that_is_not_there_yet_has_the_room_of_its_parent(tmp_path: Path):
    assert storage.free(tmp_path / "a" / "b") > 0


@pytest.mark.django_db
def test_delivery_waits_while_there_is_no_room():
    runtime.directory.cache_clear()
    Settings.load()
    Settings.objects.update(minfree=1 << 60)
    message = make_message("a@x.example", created_at=timezone.now() - timedelta(minutes=1))
    message.recipient_set.update(transport="discard", nexthop="discard:", pinned=True)
    try:
        assert runtime.deliver("discard") == 0
        row = Recipient.objects.get()
        assert (row.state, row.attempts) == ("queued", 0)
        Settings.objects.update(minfree=0)
        assert runtime.deliver("discard") == 1
    finally:
        runtime.directory.cache_clear()
