"""The journal of a convolution in blocks, or of a photograph in rows: which run it is, and how far it has come."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from ..errors import ArgumentError, FileError, shown
from ..files import LONGEST_PATH, check_target, part_of, replacing
from .lock import Lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SECONDS = 5.0
"""Between two entries: each waits for the disk."""


class Written(Protocol):
    """What is written, as a journal sees it."""

    def flush(self) -> None:
        """Bring to the disk what has been written."""

    @property
    def state(self) -> list[int]:
        """What it needs, beside the number of blocks, to go on from there."""


class Journal:
    """A file that says how far a run has come, so that another one goes on from there.

    As a context it is the run's alone: removed where the run ends, kept where it fails.

    Parameters
    ----------
    path : str
        A .json file; if it exists, of an earlier run.
    run : mapping of str to str
        What makes a run the same run: words for each argument, or digests.
    blocks : int
        How many there are: of an image, or rows of a photograph.
    target : str, optional
        The file that the run writes, if it is one.

    Attributes
    ----------
    done : int
        Blocks that are done.
    state : list of int
        What the sink needs beside that, to go on from there.
    part : Path or None
        The file that grows until it is complete.
    is_new : bool
        Whether there was no such file.

    Raises
    ------
    FileError
        If it cannot be read or written, or is no journal, or another run goes on with it.
    ArgumentError
        If it is that of another run.
    """

    def __init__(self, path: str, run: Mapping[str, str], blocks: int, target: str | None) -> None:
        if not path.endswith(".json"):
            raise FileError(f"the journal is a .json file, got {shown(path)}; name one")
        self._path, self._run = check_target(path, force=True), dict(run)
        self._entry = self._path.with_name(f".im2col-{self._path.name}.part")  # one, whenever a process is killed
        self.done, self.part = 0, None if target is None else part_of(check_target(target, force=True))
        self.state: list[int] = []
        self._recorded = time.monotonic()
        self._lock = Lock(self._path.with_name(f".im2col-{self._path.name}.lock"), path)  # before anything is touched
        try:
            self.is_new = not self._path.exists()
            if not self.is_new:
                self._read(path, blocks)
            self._reached = self.done, self.state
            self._record()
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            if error is None:
                self.remove()
        finally:
            self._lock.release()

    def _read(self, path: str, blocks: int) -> None:
        no_journal = FileError(f"{shown(path, LONGEST_PATH)} is no journal of im2col; name another file")
        own = self.part
        try:
            told = json.loads(self._path.read_text("utf-8"))
            run, self.done = told["run"], told["done"]
            self.part = None if told["part"] is None else Path(told["part"])
            self.state = [int(number) for number in told["state"]]
            other = [name for name in self._run if run.get(name) != self._run[name]]
        except Exception as cause:
            raise no_journal from cause
        if other:
            raise ArgumentError(
                f"the journal {shown(path, LONGEST_PATH)} is that of another run, with other {', '.join(other)}; "
                "call it as before, or remove the journal to begin anew"
            )
        if self.done not in range(blocks + 1) or not _alike(self.part, own):
            raise no_journal
        if not self.done and self.part is not None:
            self.part.unlink(missing_ok=True)  # it may have been interrupted before its first byte
        if self.done and self.part is not None and not self.part.exists():
            raise FileError(
                f"the journal {shown(path, LONGEST_PATH)} tells of {self.part}, which is not there any more; "
                "remove the journal to begin anew"
            )

    @contextmanager
    def kept_for(self, sink: Written) -> Iterator[None]:
        """Record how far a sink has come where its run ends, be it before its time."""
        try:
            yield
        except BaseException:
            with suppress(Exception):  # a full disk takes no journal either: what it says then is still true
                self._bring_to_disk(sink)
            raise
        self._bring_to_disk(sink)

    def advance(self, done: int, sink: Written) -> None:
        """Note that a sink has so many blocks; the disk is told every few seconds.

        Raises
        ------
        FileError
        """
        self._reached = done, sink.state  # now: a write that is interrupted may change it, and give no block
        if time.monotonic() - self._recorded > _SECONDS:
            self._bring_to_disk(sink)

    def _bring_to_disk(self, sink: Written) -> None:
        if self._reached[0] > self.done:
            sink.flush()
            self.done, self.state = self._reached
            self._record()

    def _record(self) -> None:
        told = {
            "run": self._run,
            "part": None if self.part is None else str(self.part),
            "done": self.done,
            "state": self.state,
        }
        self._entry.unlink(missing_ok=True)
        with replacing(self._path, force=True, part=self._entry) as file:
            file.write(json.dumps(told, indent=1).encode())
        self._recorded = time.monotonic()

    def remove(self) -> None:
        """Remove it: the run is complete, or did not begin."""
        self._path.unlink(missing_ok=True)
        self._entry.unlink(missing_ok=True)


def _alike(told: Path | None, own: Path | None) -> bool:
    """Whether what a journal tells of may be a file that grew for a target, and not one that no run may touch."""
    if told is None or own is None:
        return told is own
    return told.parent == own.parent and told.match(".im2col-*.part")
