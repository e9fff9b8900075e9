"""The journal of a convolution in blocks: which run it is, and how many of its blocks are done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArgumentError, FileError, shown
from ..files import LONGEST_PATH, check_target, part_of, replacing

if TYPE_CHECKING:
    from collections.abc import Mapping


class Journal:
    """A file that says how far a run has come, so that another one goes on from there.

    Parameters
    ----------
    path : str
        A .json file; if it exists, of an earlier run.
    run : mapping of str to str
        What makes a run the same run: words for each argument, or digests.
    blocks : int
        How many there are.
    target : str, optional
        The file that the run writes, if it is one.

    Attributes
    ----------
    done : int
        Blocks that are done.
    part : Path or None
        The file that grows until it is complete.

    Raises
    ------
    FileError
        If it cannot be read or written, or is no journal.
    ArgumentError
        If it is that of another run.
    """

    def __init__(self, path: str, run: Mapping[str, str], blocks: int, target: str | None) -> None:
        if not path.endswith(".json"):
            raise FileError(f"the journal is a .json file, got {shown(path)}; name one")
        self._path, self._run = check_target(path, force=True), dict(run)
        self.done, self.part = 0, None if target is None else part_of(check_target(target, force=True))
        self.is_new = not self._path.exists()
        if not self.is_new:
            self._read(path, blocks)
        self.record(self.done)

    def _read(self, path: str, blocks: int) -> None:
        no_journal = FileError(f"{shown(path, LONGEST_PATH)} is no journal of convolve_blocks; name another file")
        own = self.part
        try:
            told = json.loads(self._path.read_text("utf-8"))
            run, self.done = told["run"], told["done"]
            self.part = None if told["part"] is None else Path(told["part"])
            other = [name for name in self._run if run.get(name) != self._run[name]]
        except Exception as cause:
            raise no_journal from cause
        if other:
            raise ArgumentError(
                f"the journal {shown(path, LONGEST_PATH)} is that of another run, with other {', '.join(other)}; "
                "call it as before, or remove the journal to begin anew"
            )
        if self.done not in range(blocks + 1) or (self.part is None) != (own is None):
            raise no_journal
        if self.done and self.part is not None and not self.part.exists():
            raise FileError(
                f"the journal {shown(path, LONGEST_PATH)} tells of {self.part}, which is not there any more; "
                "remove the journal to begin anew"
            )

    def record(self, done: int) -> None:
        """Say that so many blocks are done.

        Raises
        ------
        FileError
        """
        self.done = done
        told = {"run": self._run, "part": None if self.part is None else str(self.part), "done": done}
        with replacing(self._path, force=True) as file:
            file.write(json.dumps(told, indent=1).encode())

    def remove(self) -> None:
        """Remove it: the run is complete, or did not begin."""
        self._path.unlink(missing_ok=True)
