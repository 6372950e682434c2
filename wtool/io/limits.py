"""How much a file may ask for before it is refused; each limit with its reason."""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

# --- HDF5: structure ---

MAX_OBJECTS = 1_000_000
"""Groups and datasets in a file: 250,000 variables, and the groups of their layers. The largest Keras models hold some
ten thousand; each costs about 20 microseconds."""

MAX_DEPTH = 256
"""Groups inside groups. Keras nests three per level of model nesting; HDF5's own recursion is safe far beyond this."""

MAX_BTREE_LEVELS = 16
"""Levels of a group's B-tree. Nodes hold up to 2 * 16 children, so 16 levels address more than any file can store."""

MAX_PATHS = 64 * MIB
"""Characters in all object paths together. Names may overlap in a heap, so a small file could spell out gigabytes."""

MAX_METADATA = 1 * GIB
"""Bytes read to index a file. Keras spends about 2 KiB per variable, of which a page of 4 KiB may serve one or two."""

MAX_RANK = 32
"""Dimensions of an array: HDF5's own limit."""

# --- HDF5: attributes ---

MAX_ATTRIBUTES = 64 * MIB
"""Bytes of all attribute values together, and of the heaps of their strings (array elements count 64 more). The
longest real one, the configuration in a whole-model `.h5`, is a few MiB for the largest models; but many attributes
may point at the same stored string."""

MAX_NAMES = 64 * MIB
"""Bytes of the heap of link names that one group has: as many as all paths may take."""

# --- HDF5: arrays ---

MAX_INFLATED_FLOOR = 256 * MIB
"""Arrays that together say no more than this are expanded whatever they were compressed to."""

MAX_INFLATED_RATIO = 100
"""Above that floor, how many times its stored bytes a file's arrays may take. Trained weights compress to no less
than a third, pruned ones to a fiftieth; a bomb reaches a thousand."""

MAX_CHUNK = 32 * MIB
"""Bytes of one chunk of a chunked array, which HDF5 holds in memory whole. Its default chunks are below 1 MiB."""

COPY_BLOCK = 16 * MIB
"""Bytes copied at a time, so that memory does not grow with an array."""

# --- the child process that runs the HDF5 library ---

CHILD_MEMORY = 224 * MIB
"""Address space beyond what Python, NumPy and h5py map at their start (some 60 MiB of it in memory): a few chunks,
blocks and HDF5's caches, and less than 300 MiB in all, whatever the file says."""

CHILD_SECONDS = 1.0
"""Seconds of processor time in which the child must find the next `CHILD_STEP` objects of a file, or copy what it was
allowed: on damaged files the HDF5 library may go on for ever. Honest files take a hundredth."""

CHILD_STEP = 256
"""Objects after which the child gets as much time again."""

CHILD_BYTES_PER_SECOND = 20 * MIB
"""What it must copy in each further second: shuffled gzip inflates at some 100 MiB/s on slow machines."""

CHILD_PATIENCE = 10
"""How many times slower than that a busy machine may be, before the child is ended whatever it does."""

# --- archives and JSON ---

MAX_MEMBERS = 10_000
"""Members of a `.keras` archive: three, and one asset for each vocabulary."""

MAX_JSON = 16 * MIB
"""Bytes of a JSON text or of a zip directory. The configuration of a thousand layers is about 1 MiB."""

MAX_JSON_VALUES = 1_000_000
"""Values in a JSON text: each takes some hundred bytes once it is read. Vocabularies are the longest lists, of some
hundred thousand words."""

MAX_JSON_DEPTH = 150
"""Brackets inside brackets. A nested model adds five; Python's own JSON reader stops at about a thousand."""

MAX_SHARDS = 10_000
"""Files of a sharded checkpoint. Keras makes shards of gigabytes."""

# --- what a configuration asks for ---

MAX_CONFIGURED = 1 * GIB
"""Values that one setting of a layer or operation may ask for: a number of units, a shape, paddings. The largest real
ones are volumes of some hundred million voxels and vocabularies of ten million rows; this many values of float32 take
4 GiB, and Keras allocates them before it reads any weight."""
