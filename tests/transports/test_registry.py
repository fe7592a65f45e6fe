"""Transports are found by name; a broken foreign one never takes the others down."""

import sys
from pathlib import Path

import pytest

from mta.transports import registry
from mta.transports.discard import Discard
from mta.transports.local import Local

FOREIGN = """
class Carrier:
    name = "pigeon"
    priority = 5
    limit = 1
    batch = 1

    def claim(self, address, book):
        return None

    def deliver(self, request, context):
        return iter(())


class Liar(Carrier):
    name = "eagle"


class Half:
    name = "half"
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs a distribution with the given entry points, as pip would leave it."""

    def install(entries: str) -> None:
        info = tmp_path / "pigeon_post-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pigeon-post\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[mta.transports]\n{entries}\n")
        (tmp_path / "pigeon_post.py").write_text(FOREIGN)
        (tmp_path / "pigeon_broken.py").write_text("raise RuntimeError('no feathers')\n")
        monkeypatch.syspath_prepend(tmp_path)

    yield install
    for name in ("pigeon_post", "pigeon_broken"):
        sys.modules.pop(name, None)


def test_built_ins_by_name():
    assert isinstance(registry.get("local"), Local)
    assert isinstance(registry.get("discard"), Discard)
    assert registry.get("local") is registry.get("local")


def test_unknown_name_is_explained():
    with pytest.raises(registry.UnknownTransportError) as caught:
        registry.get("fax")
    assert "'fax'" in str(caught.value)
    assert "local" in str(caught.value)
    assert "fax" not in registry.transports


def test_foreign_transport_is_found_and_ordered(install):
    install("pigeon = pigeon_post:Carrier")
    found = registry.Registry()
    assert found["pigeon"].limit == 1
    assert "pigeon" in found
    built_in = {"local": registry.BUILT_IN["local"], "discard": registry.BUILT_IN["discard"]}
    order = [transport.name for transport in registry.Registry(built_in).by_priority()]
    assert order == ["discard", "pigeon", "local"]


@pytest.mark.parametrize(
    "entry",
    [
        "pigeon = pigeon_broken:Carrier",
        "pigeon = pigeon_nowhere:Carrier",
        "pigeon = pigeon_post:Nobody",
        "pigeon = pigeon_post:Liar",
        "pigeon = pigeon_post:Half",
        "pigeon = pigeon_post:FOREIGN_IS_NO_CLASS",
    ],
)
def test_broken_foreign_transport_is_logged_and_left_out(install, caplog, entry):
    install(entry)
    found = registry.Registry()
    assert "pigeon" not in found
    assert isinstance(found["local"], Local)
    assert "transport pigeon" in caplog.text


def test_foreign_transport_cannot_replace_a_built_in(install, caplog):
    install("local = pigeon_post:Carrier")
    found = registry.Registry()
    assert isinstance(found["local"], Local)
    assert list(found).count("local") == 1
    assert "built in" in caplog.text
