"""What this Python's `zipfile` reads in archives: paths as a JSON list on standard input, one answer for each."""

import json
import sys
import warnings
import zipfile
import zlib

warnings.simplefilter("ignore")


def read(path):
    """Name -> checksum of its bytes; the error where there is one."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            found = {name: zlib.crc32(archive.read(name)) for name in names}
            return found if len(found) == len(names) else "a name twice"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


json.dump([read(path) for path in json.load(sys.stdin)], sys.stdout)
