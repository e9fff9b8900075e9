"""How much of the package a call runs through: Python calls and source files, counted with `sys.setprofile`.

``python -m tests.journeys`` writes the table in docs/how-a-layer-runs.md anew, and prints the files of each journey.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import im2col

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

PACKAGE = str(Path(im2col.__file__).parent) + os.sep
REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs" / "how-a-layer-runs.md"
BEGIN, END = "<!-- journeys: written by python -m tests.journeys -->\n", "<!-- end of journeys -->\n"
COMPREHENSIONS = {"<listcomp>", "<setcomp>", "<dictcomp>"}
"""They are calls in Python 3.11, and none from 3.12 on."""

# The model gives this layer a tile whose lanes are filters on every CPU, and it is too small for a second thread; the
# picture's layer gets a tile whose lanes are positions. So the same files run everywhere.
X, W = np.ones((1, 16, 7, 7), np.float32), np.ones((16, 16, 3, 3), np.float32)


def _conv2d() -> None:
    im2col.conv2d(X, W, padding=1)


def _im2col() -> None:
    im2col.im2col(X, 3, padding=1)


def _illustrate() -> None:
    with tempfile.TemporaryDirectory() as folder:
        im2col.illustrate(X[0, :2, :5, :5], W[:2, :2]).save(Path(folder) / "x.svg")


class Journey(NamedTuple):
    """A call that is counted in a process of its own, after so many calls that are not."""

    call: Callable[[], None]
    before: int = 0


JOURNEYS = {
    "`conv2d`, first call": Journey(_conv2d),
    "`conv2d`, third call": Journey(_conv2d, before=2),
    "`im2col`, first call": Journey(_im2col),
    '`illustrate(…).save("x.svg")`, first call': Journey(_illustrate),
}


class Count(NamedTuple):
    """What ran: how often a function of the package was entered, in which files, and which files were only imported."""

    calls: int
    entered: list[str]
    imported: list[str]


def counted(name: str) -> Count:
    """Make a journey in this process, which has done nothing but import the names of all of them, and count."""
    journey = JOURNEYS[name]
    for public in ("conv2d", "im2col", "illustrate"):
        getattr(im2col, public)
    for _ in range(journey.before):
        journey.call()
    codes: list[CodeType] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            codes.append(frame.f_code)

    sys.setprofile(note)
    journey.call()
    sys.setprofile(None)
    # The bodies of modules and classes run, too, when a file is imported.
    functions = [code for code in codes if code.co_flags & inspect.CO_OPTIMIZED and code.co_name not in COMPREHENSIONS]
    entered, files = ({code.co_filename.removeprefix(PACKAGE) for code in each} for each in (functions, codes))
    return Count(len(functions), sorted(entered), sorted(files - entered))


def counts() -> dict[str, Count]:
    """Make every journey in a fresh process, with its kernels already in the cache."""
    with tempfile.TemporaryDirectory() as cache:
        settings = {name: value for name, value in os.environ.items() if not name.startswith("IM2COL_")}
        environment = settings | {"IM2COL_CACHE_DIR": cache, "PYTHONPATH": str(Path(PACKAGE).parent)}

        def made(*names: str) -> Count:
            code = f"import json; from tests.journeys import counted; print(json.dumps([*map(counted, {names})][-1]))"
            done = subprocess.run(
                [sys.executable, "-c", code],
                cwd=REPOSITORY,
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=True,
            )
            return Count(*json.loads(done.stdout))

        made(*JOURNEYS)  # which fills the cache
        return {name: made(name) for name in JOURNEYS}


def table(found: dict[str, Count]) -> str:
    """Return the counts as a table of Markdown; how many calls a first call makes depends on the machine."""
    lines = ["| journey | Python calls | files run | files run or imported |", "|---|---|---|---|"]
    for name, (calls, entered, imported) in found.items():
        later = calls if JOURNEYS[name].before else "–"
        lines.append(f"| {name} | {later} | {len(entered)} | {len(entered) + len(imported)} |")
    return "\n".join(lines) + "\n"


def recorded() -> str:
    """Return the table that the page has."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    """Write the table anew, and print the files of each journey."""
    found = counts()
    PAGE.write_text(PAGE.read_text().replace(BEGIN + recorded(), BEGIN + table(found)))
    for name, count in found.items():
        sys.stdout.write(f"{name}: {count.calls} calls\n")
        sys.stdout.writelines(f"  {file}\n" for file in count.entered)
        sys.stdout.writelines(f"  {file} (only imported)\n" for file in count.imported)


if __name__ == "__main__":
    main()
