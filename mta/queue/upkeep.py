"""After a burst: tables and indexes of the queue fall back to the size of what they hold.

Autovacuum makes room for new rows; pages of an index that once were full stay, and every claim
walks past them. So an index that is much larger than its rows need is built anew beside the old
one, without keeping anybody from working (REINDEX CONCURRENTLY). The end of a table that is empty
goes back to the disk when it is vacuumed, but not while dead rows there still stand in an index,
which autovacuum leaves alone for the sake of a few rows.
"""

import logging
from dataclasses import dataclass

from django.db import DatabaseError, connection

from mta.queue.listing import fetch

log = logging.getLogger(__name__)

TABLES = (
    "mta_message",
    "mta_recipient",
    "mta_content",
    "mta_attempt",
    "mta_event",
    "mta_lease",
    "mta_tally",
)
# Smaller ones are not worth it, whatever they hold.
SMALL_INDEX = 1024 * 1024
# An index of so many octets a row, twice over, is mostly air.
ROW_OCTETS = 80
BLOATED = 4
# A table, or what is stored beside it in chunks of about this, is worth it from here on.
SMALL_TABLE = 16 * 1024 * 1024
CHUNK_OCTETS = 2048
_LOCK = 0xB10A7

_INDEXES = """
SELECT c.relname, pg_relation_size(c.oid), greatest(c.reltuples, 0)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
WHERE t.relname = ANY(%s) AND t.relnamespace = current_schema()::regnamespace AND i.indisvalid
ORDER BY 2 DESC
"""

_HOLLOW = """
SELECT c.relname FROM pg_class t JOIN pg_class c ON c.oid IN (t.oid, t.reltoastrelid)
WHERE t.relname = ANY(%s) AND t.relnamespace = current_schema()::regnamespace
  AND pg_relation_size(c.oid) > greatest(%s, %s * greatest(c.reltuples, 0))
"""

_INVALID = """
SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid
WHERE t.relname = ANY(%s) AND NOT i.indisvalid AND c.relname LIKE '%%\\_ccnew%%'
  AND t.relnamespace = current_schema()::regnamespace
"""

_SIZES = """
SELECT c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid) FROM pg_class c
WHERE c.relname = ANY(%s) AND c.relnamespace = current_schema()::regnamespace ORDER BY c.relname
"""


@dataclass(frozen=True, slots=True)
class TableSize:
    """Octets of a table (with what is stored beside it), and of its indexes."""

    name: str
    table: int
    indexes: int


def sizes() -> list[TableSize]:
    return [TableSize(*row) for row in fetch(_SIZES, [list(TABLES)])]


def tidy() -> list[str]:
    """Vacuum the queue's tables and build bloated indexes anew; gives the names of these.

    Outside of a transaction. One process at a time; another one that calls meanwhile does
    nothing. Raises DatabaseError.
    """
    if not fetch("SELECT pg_try_advisory_lock(%s)", [_LOCK])[0][0]:
        return []
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = '15min'")
            for table in TABLES:
                cursor.execute(f"VACUUM (ANALYZE, INDEX_CLEANUP ON) {table}")
        return _rebuild()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET statement_timeout")
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def is_bloated() -> bool:
    """Whether a table or an index is much larger than its rows need, or one was left half built."""
    return bool(_bloated() or _hollow() or fetch(_INVALID, [list(TABLES)]))


def _hollow() -> list[str]:
    rows = fetch(_HOLLOW, [list(TABLES), SMALL_TABLE, BLOATED * CHUNK_OCTETS])
    return [name for (name,) in rows]


def _bloated() -> list[str]:
    return [
        name
        for name, octets, rows in fetch(_INDEXES, [list(TABLES)])
        if octets > SMALL_INDEX and octets > BLOATED * ROW_OCTETS * rows
    ]


def _rebuild() -> list[str]:
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        # What an interrupted rebuild has left only costs room.
        for (name,) in fetch(_INVALID, [list(TABLES)]):
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {quote(name)}")
    rebuilt = []
    for name in _bloated():
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"REINDEX INDEX CONCURRENTLY {quote(name)}")
        except DatabaseError as error:
            log.warning("the index %s could not be built anew: %s", name, error)
            continue
        rebuilt.append(name)
    return rebuilt
