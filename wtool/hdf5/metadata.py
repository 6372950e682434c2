"""Checked access to the metadata of an HDF5 file: bounds, limits, and a claim on every byte by its one owner."""

from __future__ import annotations

from collections.abc import Callable

from wtool.errors import Differs, Refused
from wtool.hdf5.limits import MAX_METADATA

UNDEFINED = 0xFFFF_FFFF_FFFF_FFFF
_PAGE_BITS = 12
_PAGE = 1 << _PAGE_BITS
_MAX_PAGES = 4096
_SHOWN = 120


class NotPlain(Exception):
    """Raised for a file that uses HDF5 features which the strict reader does not know; the text says which.

    The file may well be whole: the HDF5 library may read it, in a child process.
    """


class Allowance:
    """How much of something a file may have, counted as it is read.

    Args:
        most: how much.
        told: what is said of a file that has more.
    """

    def __init__(self, most: int, told: str) -> None:
        self._most, self._told = most, told
        self.spent = 0

    def spend(self, count: int) -> None:
        """Count what was read.

        Raises:
            Refused: the file has more than it may have.
        """
        self.spent += count
        if self.spent > self._most:
            raise Refused(self._told)


class Metadata:
    """The metadata of one file, read through a small cache of pages.

    HDF5 packs headers, tables and heaps into blocks of 2 KiB, so a page serves many of them.

    Args:
        read: gives exactly n bytes at an offset, or raises `Refused`.
        size: of the file.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read = read
        self._size = size
        self._end = size
        self._tables = Allowance(MAX_METADATA, f"its tables of contents take more than {MAX_METADATA >> 20} MiB")
        self._pages: dict[int, bytes] = {}
        self._claims: dict[int, int] = {}

    @property
    def end(self) -> int:
        """The first offset behind everything that belongs to the HDF5 file."""
        return self._end

    def end_at(self, end: int) -> None:
        """Let the file end where its superblock says.

        Raises:
            Refused: the file is shorter than that.
        """
        if end > self._size:
            raise Refused(f"cut short: it should have {end} bytes, and has {self._size}")
        self._end = end

    def at(self, offset: int, length: int) -> bytes:
        """Returns `length` bytes at `offset`.

        Raises:
            Refused: the bytes are not all in the file, or the file makes its reader read too many bytes in total.
        """
        stop = offset + length
        if stop > self._end:
            raise Refused(f"damaged: it points to byte {offset} for {length} bytes, and ends at {self._end}")
        page = offset >> _PAGE_BITS
        if stop <= (page + 1) << _PAGE_BITS:
            start = offset & (_PAGE - 1)
            return (self._pages.get(page) or self._load(page))[start : start + length]
        return self._fetch(offset, length)

    def _load(self, page: int) -> bytes:
        if len(self._pages) >= _MAX_PAGES:
            self._pages.clear()
        start = page << _PAGE_BITS
        data = self._pages[page] = self._fetch(start, min(_PAGE, self._size - start))
        return data

    def _fetch(self, offset: int, length: int) -> bytes:
        self._tables.spend(length)
        data = self._read(offset, length)
        if len(data) != length:
            raise Refused("the file became shorter while it was read")
        return data

    def claim(self, offset: int, length: int) -> None:
        """Note that one thing (a table, a heap, an array) owns these bytes alone.

        Raises:
            Differs: another thing that starts at the same offset has claimed its bytes. So no table is read twice.
        """
        if offset in self._claims:
            raise Differs(f"damaged: two things in it share the bytes from {offset} on")
        self._claims[offset] = offset + length

    def check_claims(self) -> None:
        """Check that every byte has one owner at most.

        Raises:
            Differs: two claims overlap.
            Refused: a claim reaches behind the end of the file.
        """
        last = 0
        for start, stop in sorted(self._claims.items()):
            if start < last:
                raise Differs(f"damaged: two things in it share the bytes from {start} on")
            last = stop
        if last > self._end:
            raise Refused(f"cut short: its arrays need {last} bytes, and it ends at {self._end}")


def shown(name: str) -> str:
    """Returns a name from a file as a message may show it: without control characters, and cut if long."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name[:1000])
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}...{text[-_SHOWN // 2 :]}"


def amount(nbytes: int) -> str:
    """Returns a number of bytes as people read it, `3.6 TiB`."""
    if nbytes < 1024:
        return f"{nbytes} bytes"
    value, units = nbytes / 1024, iter(["KiB", "MiB", "GiB", "TiB", "PiB"])
    unit = next(units)
    for larger in units:
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f} {unit}"
