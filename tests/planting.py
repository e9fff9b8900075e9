"""Planting a bug in one module of the library, and asking tests whether they notice.

Every bug is planted in a process that was forked before anything of the library was imported: none is ever written, and
no result can leak. Tests run in that process, so what they start in further ones runs the library as it is.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import resource
import signal
import sys
import tempfile
import traceback
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import CodeType, ModuleType

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "src" / "im2col"
HANG_SECONDS = 900
PRELOADED = ("numpy", "scipy.ndimage", "scipy.signal", "hypothesis", "ml_dtypes", "llvmlite.binding", "jsonschema")
"""What tests import besides the library: loaded once, for all forks."""


@dataclass(frozen=True)
class Plant:
    """A file of ``src/im2col`` with a bug, and the tests that must notice.

    Parameters
    ----------
    file : str
        In ``src/im2col``.
    text : str
        The whole of it, with the bug; None leaves the library as it is.
    tests : tuple of str
        Test files, or tests, in ``tests``; those that notice soonest stand first.
    cpu_seconds : float
        What a bug that never ends may use.
    """

    file: str
    text: str | None
    tests: tuple[str, ...]
    cpu_seconds: float = 300


class Outcome(NamedTuple):
    """What tests said of a plant: pytest's status, or a signal's negative number; their CPU seconds; their words."""

    plant: Plant
    status: int
    cpu_seconds: float
    output: str


class _Planted(SourceFileLoader):
    """Loads one module from a text instead of its file."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self._text = text

    def get_code(self, fullname: str) -> CodeType:
        """Compile the text; nothing is read or written."""
        return compile(self._text, self.get_filename(fullname), "exec")


class _Finder(MetaPathFinder):
    """Finds the planted module before anybody else does."""

    def __init__(self, plant: Plant) -> None:
        parts = Path(plant.file).with_suffix("").parts
        self._package = parts[-1] == "__init__"
        self._name = ".".join(("im2col", *(parts[:-1] if self._package else parts)))
        self._path, self._text = str(PACKAGE / plant.file), plant.text or ""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the planted module's spec, and None for every other."""
        del path, target
        if fullname != self._name:
            return None
        loader = _Planted(fullname, self._path, self._text)
        return importlib.util.spec_from_file_location(
            fullname, self._path, loader=loader, submodule_search_locations=[] if self._package else None
        )


def judge(plants: Iterable[Plant], at_once: int) -> Iterator[Outcome]:
    """Yield what tests say of each plant, as they get ready, with so many processes at once."""
    for name in PRELOADED:
        importlib.import_module(name)
    assert "im2col" not in sys.modules, "a fork would inherit the library as it is"
    with tempfile.TemporaryDirectory(prefix="im2col-mutate-") as name:
        running: dict[int, Plant] = {}
        waiting = iter(plants)
        while True:
            while len(running) < at_once and (plant := next(waiting, None)) is not None:
                child = os.fork()
                if child == 0:
                    _run(plant, Path(name))
                running[child] = plant
            if not running:
                return
            child, status, usage = os.wait4(-1, 0)
            output = Path(name) / f"{child}.out"
            yield Outcome(
                running.pop(child),
                os.waitstatus_to_exitcode(status),
                usage.ru_utime + usage.ru_stime,
                output.read_text(errors="replace"),
            )
            output.unlink()


def _run(plant: Plant, folder: Path) -> None:
    """Plant the bug in this process, run its tests, and end with their status."""
    status = 70
    try:
        output = os.open(folder / f"{os.getpid()}.out", os.O_CREAT | os.O_WRONLY)
        os.dup2(output, 1)
        os.dup2(output, 2)
        signal.alarm(HANG_SECONDS)
        seconds = int(plant.cpu_seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.chdir(REPOSITORY)
        os.environ["IM2COL_TEST_PROFILE"] = "fast"
        if _makes_kernels(plant):
            # A kernel's key holds the digest of the files, which know nothing of the bug.
            os.environ["IM2COL_TEST_KERNELS"] = str(folder / f"{os.getpid()}.kernels")
        sys.path[:0] = [str(PACKAGE.parent), str(REPOSITORY)]
        if plant.text is not None:
            sys.meta_path.insert(0, _Finder(plant))
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not wide"]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is preloaded
        status = int(pytest.main([*options, *(f"tests/{name}" for name in plant.tests)]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _makes_kernels(plant: Plant) -> bool:
    """Whether the file with the bug writes kernels, or lies in a room whose files decide what is written."""
    rooms = {"engine", "tiles", "tiled", "winograd", "fft"}
    return bool(rooms.intersection(Path(plant.file).parts)) or "Builder" in (plant.text or "")
