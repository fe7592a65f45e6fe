"""The walls of the house: who may import whom (design, "Folders"; ARCHITECTURE.md)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "mta").rglob("*.py"))

# What each room may use of the project besides itself; the longest prefix counts.
ROOMS: dict[str, tuple[str, ...]] = {
    "mta.protocol": (),
    "mta.policy": ("mta.protocol",),
    # Other people's programs are run in one place.
    "mta.filters": ("mta.protocol", "mta.transports.delivery_command"),
    "mta.transports": (
        "mta.protocol",
        "mta.transports.base",
        # What belongs to no transport: files that last, and other people's programs.
        "mta.transports.local_disk",
        "mta.transports.mbox_file",
        "mta.transports.delivery_command",
    ),
    # LMTP is ESMTP but for the greeting and the last replies.
    "mta.transports.lmtp": (
        "mta.protocol",
        "mta.transports.base",
        "mta.transports.esmtp_connect",
        "mta.transports.esmtp_handover",
        "mta.transports.esmtp_security",
    ),
    "mta.transports.registry": ("mta.protocol", "mta.transports"),
    "mta.models": ("mta.protocol",),
    "mta.queue": ("mta.models", "mta.protocol"),
    "mta.upgrade": ("mta.protocol",),
    "mta.upgrade.plan": ("mta.upgrade", "mta.models", "mta.management.quantity"),
    "mta.upgrade.apply": ("mta.upgrade", "mta.models"),
    "mta.ingress": ("mta.policy", "mta.filters", "mta.protocol", "mta.queue", "mta.intake"),
    "mta.scheduler": (
        "mta.queue",
        "mta.models",
        "mta.policy.routing",
        "mta.transports.base",
        "mta.protocol",
    ),
}

# They put the rooms together; what they may not use is the Django project.
COMPOSITION_ROOTS = (
    "mta.runtime",
    "mta.intake",
    "mta.directory",
    "mta.explain",
    "mta.explanation",
    "mta.scheduler.tasks",
    "mta.management",
    "mta.nudge",
    "mta.migrations",
)

# One function for each event: the log may be written anywhere.
EVERYBODYS = ("mta.maillog",)

WITHOUT_DJANGO_AND_CELERY = (
    *("mta.protocol", "mta.policy", "mta.filters", "mta.transports"),
    # The readers of other servers' configurations; only plan and apply know the database.
    *("mta.upgrade.systems", "mta.upgrade.sendmail", "mta.upgrade.qmail", "mta.upgrade.courier"),
)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def within(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of every import; "from a import b" gives a.b, which b may be."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def room_of(module: str) -> str:
    """The room of a module: the longest name in ROOMS that holds it."""
    return max((room for room in ROOMS if within(module, (room,))), key=len, default="")


def may_import(module: str, imported: str) -> bool:
    if within(module, COMPOSITION_ROOTS) or within(imported, EVERYBODYS):
        return True
    room = room_of(module)
    if room == "mta.transports":
        # A transport of several files (esmtp, esmtp_session) is one transport.
        own = module.removeprefix("mta.transports.").split("_")[0]
        if imported.removeprefix("mta.transports.").split(".")[0].split("_")[0] == own:
            return True
        return within(imported, ROOMS[room])
    return within(imported, (room, *ROOMS[room]))


paths = pytest.mark.parametrize("path", SOURCES, ids=module_name)


@paths
def test_imports_keep_to_the_rooms(path: Path) -> None:
    module = module_name(path)
    if not room_of(module) and not within(module, COMPOSITION_ROOTS):
        return
    for line, imported in imports(path):
        if within(imported, ("mta",)):
            assert may_import(module, imported), f"{path}:{line} imports {imported}"


@paths
def test_nothing_in_mta_imports_the_project(path: Path) -> None:
    assert not [imported for _, imported in imports(path) if within(imported, ("courierweb",))]


@paths
def test_the_core_runs_without_django_and_celery(path: Path) -> None:
    if within(module_name(path), WITHOUT_DJANGO_AND_CELERY):
        frameworks = ("django", "celery", "aiosmtpd", "psycopg")
        assert not [imported for _, imported in imports(path) if within(imported, frameworks)]


@paths
def test_imports_stand_at_the_top(path: Path) -> None:
    tree = ast.parse(path.read_text())
    top = {id(node) for node in _top_statements(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            assert id(node) in top, f"{path}:{node.lineno} imports inside something"


def _top_statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements of the module itself, and those behind `if TYPE_CHECKING` or a `try`."""
    for node in tree.body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from node.body


@paths
def test_no_signals(path: Path) -> None:
    """A call is found by search, a receiver is not."""
    assert not [name for _, name in imports(path) if "signals" in name or name.endswith("receiver")]


def test_ingress_and_scheduler_never_meet() -> None:
    for path in SOURCES:
        module = module_name(path)
        used = {imported for _, imported in imports(path)}
        if within(module, ("mta.ingress",)):
            assert not [name for name in used if within(name, ("mta.scheduler", "mta.transports"))]
        if within(module, ("mta.scheduler",)):
            assert not [name for name in used if within(name, ("mta.ingress",))]


def test_files_are_named_for_what_they_hold() -> None:
    forbidden = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
    sources = [*SOURCES, *(ROOT / "courierweb").rglob("*.py"), *(ROOT / "deploy").rglob("*.py")]
    assert not [path for path in sources if path.stem in forbidden or path.parent.name in forbidden]


def test_queue_tables_are_written_in_the_queue_only() -> None:
    """The SQL that changes queue and history stands in mta/queue (migrations apart)."""
    verbs = ("INSERT INTO mta_", "UPDATE mta_", "DELETE FROM mta_")
    for path in [*SOURCES, *(ROOT / "courierweb").rglob("*.py")]:
        module = module_name(path)
        if within(module, ("mta.queue", "mta.migrations")):
            continue
        text = path.read_text()
        assert not [verb for verb in verbs if verb in text], f"{path} writes queue tables"
