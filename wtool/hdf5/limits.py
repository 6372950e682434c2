"""How much an HDF5 file may ask for before it is refused; each limit with its reason."""

from __future__ import annotations

from wtool.io.limits import GIB, MIB

# --- structure ---

MAX_OBJECTS = 1_000_000
"""Groups and datasets in a file: room for 250,000 variables and the groups around them. The largest models hold some
ten thousand; indexing one costs about 20 microseconds."""

MAX_DEPTH = 256
"""Groups inside groups. Models nest three per level of their own; HDF5's own recursion is safe far beyond this."""

MAX_BTREE_LEVELS = 16
"""Levels of a group's B-tree. Nodes hold up to 2 * 16 children, so 16 levels address more than any file can store."""

MAX_PATHS = 64 * MIB
"""Characters in all object paths together. Names may overlap in a heap, so a small file could spell out gigabytes."""

MAX_METADATA = 1 * GIB
"""Bytes read to index a file. Models spend about 2 KiB per variable, of which a page of 4 KiB may serve one or two."""

MAX_RANK = 32
"""Dimensions of an array: HDF5's own limit."""

# --- attributes ---

MAX_ATTRIBUTES = 64 * MIB
"""Bytes of all attribute values together, and of the heaps of their strings (array elements count 64 more). The
longest real one, the configuration in a whole-model `.h5`, is a few MiB for the largest models; but many attributes
may point at the same stored string."""

MAX_NAMES = 64 * MIB
"""Bytes of the heap of link names that one group has: as many as all paths may take."""

# --- arrays ---

MAX_CHUNK = 32 * MIB
"""Bytes of one chunk of a chunked array, which HDF5 holds in memory whole. Its default chunks are below 1 MiB."""

LARGEST_PACKED_CHUNK = 1 * MIB
"""Bytes of a chunk that is inflated in this process, by several threads; `packing` makes chunks of an eighth."""

SMALLEST_PACKED_CHUNK = 4096
"""Bytes of such a chunk, if an array has several: an array of a million small chunks would take long to list."""

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
