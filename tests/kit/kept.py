"""Compiled kernels that tests keep from run to run: in the checkout, for all test processes, and not for ever."""

from __future__ import annotations

import os
import time
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".kernels"
"""Git ignores it, and `make clean` removes it. A kernel's key holds the digest of the sources that it is made from."""
DAYS = 5
BYTES = 256 << 20
"""About five times what a whole run keeps."""


def keep_kernels() -> None:
    """Let this process, and those that it starts, keep kernels in `FOLDER`, and never in the user's own cache.

    ``IM2COL_TEST_KERNELS`` names another folder.
    """
    os.environ["IM2COL_CACHE_DIR"] = os.environ.get("IM2COL_TEST_KERNELS") or str(FOLDER)


def remove_old(folder: Path = FOLDER, *, days: float = DAYS, most: int = BYTES) -> None:
    """Remove what nobody has read for some days, and the longest unread of what takes more room than that.

    Another run may read here at the same time: what it misses, it compiles again.
    """
    found = []
    for path in folder.glob("im2col/*"):
        try:
            status = path.stat()
        except FileNotFoundError:  # by another run
            continue
        found.append((max(status.st_atime, status.st_mtime), status.st_size, path))
    oldest, room = time.time() - days * 86400, most
    for used, size, path in sorted(found, reverse=True):
        room -= size
        if used < oldest or room < 0:
            path.unlink(missing_ok=True)
