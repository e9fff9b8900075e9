"""The pages of docs/coming-from: what another library's call gives, beside what ours gives.

``python -m tests.coming_from docs/coming-from/scipy.md`` runs a page from top to bottom: its code, and both calls of
each row of its tables. It prints every row whose calls differ, and how many it ran.
"""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FOLDER = Path(__file__).parents[1] / "docs/coming-from"
ROUNDINGS = 128
"""By how many roundings of the greatest number two results may differ: a sum of n products errs by n roundings of their
magnitudes at most, both results do, and sums on these pages have some 60 products."""

OCTAVE = "octave-cli"


class Code(NamedTuple):
    """A block of a page."""

    line: int
    language: str
    text: str


class Row(NamedTuple):
    """A row of a table: the other library's call, and ours."""

    line: int
    theirs: str
    ours: str


def parts(page: str) -> list[Code | Row]:
    """Return the blocks of code and the rows of the tables of a page, in its order.

    Parameters
    ----------
    page : str
        Its text.

    Returns
    -------
    list of Code or Row
        With the lines in which they begin.

    Raises
    ------
    ValueError
        If a row of a table is no pair of calls.
    """
    found: list[Code | Row] = []
    text = page.splitlines()
    lines = iter(enumerate(text, 1))
    for number, line in lines:
        if line.startswith("```"):
            block = list(itertools.takewhile(lambda each: each != "```", (each for _, each in lines)))
            found.append(Code(number, line[3:], "\n".join(block)))
        elif line.startswith("|"):
            if "".join(text[number : number + 1]).startswith("|---"):  # the head of a table
                next(lines)
                continue
            pair = re.fullmatch(r"\| `([^`|]+)` \| `([^`|]+)` \|", line)
            if not pair:
                raise ValueError(f"line {number} is no pair of calls: {line}")
            found.append(Row(number, *pair.groups()))
    return found


def difference(theirs: Any, ours: Any, *, same_dtype: bool = True) -> str | None:
    """Return how two results differ, or None: integers in nothing, floats by some roundings at most.

    Parameters
    ----------
    theirs, ours : Any
        Arrays of any library, numbers, or tuples of them.
    same_dtype : bool
        Whether their dtypes are compared.
    """
    if isinstance(theirs, (tuple, list)) and isinstance(ours, (tuple, list)):
        if len(theirs) != len(ours):
            return f"{len(theirs)} results beside {len(ours)}"
        found = (difference(*pair, same_dtype=same_dtype) for pair in zip(theirs, ours, strict=True))
        return next((each for each in found if each), None)
    x, y = np.asarray(theirs), np.asarray(ours)
    if x.shape != y.shape:
        return f"shape {x.shape} beside {y.shape}"
    if same_dtype and x.dtype != y.dtype:
        return f"dtype {x.dtype} beside {y.dtype}"
    if x.ndim and len(np.unique(x)) < 2:
        return "all numbers are the same, which compares nothing"
    inexact = [each.dtype for each in (x, y) if each.dtype.kind in "fc"]
    tolerance = 0.0
    if inexact:
        greatest = np.abs(x[np.isfinite(x)]).max(initial=0)
        tolerance = float(ROUNDINGS * max(np.finfo(each).eps for each in inexact) * greatest)
    if not np.allclose(x, y, rtol=0, atol=tolerance, equal_nan=True):
        return f"values differ by up to {np.abs(x - y).max():.3g}"
    return None


def from_octave(found: list[Code | Row]) -> tuple[dict[str, Any], list[Any]]:
    """Return the arrays that a page's blocks of MATLAB define, and the results of its rows, as Octave has them."""
    from scipy.io import loadmat

    blocks = [each.text for each in found if isinstance(each, Code) and each.language == "matlab"]
    rows = [each.theirs for each in found if isinstance(each, Row)]
    with tempfile.TemporaryDirectory() as folder:
        arrays, results = Path(folder) / "arrays.mat", Path(folder) / "results.mat"
        calls = [f"results{{end + 1}} = {call};" for call in rows]
        script = [
            *blocks,
            f"save('-v7', '{arrays}');",
            "results = {};",
            *calls,
            f"save('-v7', '{results}', 'results');",
        ]
        command = [str(shutil.which(OCTAVE)), "--no-gui", "--quiet", "--norc", "--eval", "\n".join(script)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"Octave: {done.stderr}")
        return loadmat(arrays), list(loadmat(results)["results"].ravel())


def failures(page: str) -> tuple[int, list[str]]:
    """Run a page from top to bottom; return how many rows there are, and what is wrong.

    Parameters
    ----------
    page : str
        Its text.
    """
    found = parts(page)
    names: dict[str, Any] = {"__name__": "page"}
    of_octave: list[Any] | None = None
    if any(isinstance(each, Code) and each.language == "matlab" for each in found):
        arrays, of_octave = from_octave(found)
        names |= {name: array for name, array in arrays.items() if not name.startswith("__")}
    count, wrong = 0, []
    for each in found:
        if isinstance(each, Code):
            if each.language == "python":
                exec(compile("\n" * each.line + each.text, "page", "exec"), names)  # noqa: S102 (our own page)
            continue
        told = _judged(each, names, None if of_octave is None else of_octave[count])
        count += 1
        if told:
            wrong.append(f"line {each.line}: {each.theirs} | {each.ours}: {told}")
    return count, wrong


def _judged(row: Row, names: dict[str, Any], given: Any) -> str | None:
    """Return what is wrong with a row; `given` is its first result, where Octave has computed it."""
    try:
        ours = eval(row.ours, names)  # noqa: S307 (our own page)
        theirs = eval(row.theirs, names) if given is None else given  # noqa: S307
    except Exception as error:  # whatever a library raises
        return f"{type(error).__name__}: {error}"
    if given is None:
        return difference(theirs, ours)
    if np.ndim(ours) == 1 and 1 in given.shape:
        theirs = given.ravel()  # MATLAB has no vectors but rows and columns
    return difference(theirs, ours, same_dtype=False)


if __name__ == "__main__":
    ran, told = failures(Path(sys.argv[1]).read_text("utf-8"))
    sys.stdout.writelines(f"{each}\n" for each in [*told, f"{ran} rows"])
    sys.exit(bool(told))
