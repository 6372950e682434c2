"""How much a file may ask for before it is refused; each limit with its reason."""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

# --- compressed bytes ---

MAX_INFLATED_FLOOR = 256 * MIB
"""Bytes that compressed data may always expand to, whatever its compressed size."""

MAX_INFLATED_RATIO = 100
"""Above that floor, how many times its stored bytes compressed data may take. Trained weights compress to no less than
a third, pruned ones to a fiftieth; a bomb reaches a thousand."""

# --- archives and JSON ---

MAX_MEMBERS = 10_000
"""Members of a zip archive: a model has three, and one asset for each vocabulary."""

MAX_DIRECTORY = 16 * MIB
"""Bytes of an archive's directory, which is read whole. One member takes some hundred."""

MAX_JSON = 16 * MIB
"""Bytes of a JSON text. The configuration of a thousand layers is about 1 MiB."""

MAX_JSON_VALUES = 1_000_000
"""Values in a JSON text: each takes some hundred bytes once it is read. Vocabularies are the longest lists, of some
hundred thousand words."""

MAX_JSON_DEPTH = 150
"""Brackets inside brackets. A model inside another adds five; Python's own JSON reader stops at about a thousand."""

# --- tables of sorted strings ---

MAX_TABLE = 64 * MIB
"""Bytes of a table of sorted strings. A weight takes about a hundred."""

MAX_TABLE_KEYS = 64 * MIB
"""Bytes of all keys of such a table, which shares the first bytes of keys. A key takes about a hundred."""

MAX_MESSAGE = 256 * MIB
"""Bytes of a message that is read whole. The metadata of a thousand layers are about 5 MiB."""

MAX_FIELDS = 4_000_000
"""Fields of such a message and of those inside it: each takes some hundred bytes once it is read. An object of a
SavedModel has about ten."""
