"""The pages for those who come from another library: both calls of each row give the same."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from .coming_from import FOLDER, OCTAVE, ROUNDINGS, Row, difference, failures, parts
from .kit.outcomes import missing
from .kit.processes import HANG_SECONDS, REPOSITORY

NEEDED = {
    "jax": ("jax",),
    "keras": ("keras", "jax"),
    "matlab": ("scipy",),
    "numpy": ("einops",),
    "opencv": ("cv2",),
    "scikit": ("skimage", "sklearn"),
    "scipy": ("scipy",),
    "torch": ("torch",),
}
"""Each page, and what its rows are run with."""

COLUMNS = {"ndimage": "scipy", "signal": "scipy", "OpenCV": "opencv", "PyTorch": "torch", "MATLAB": "matlab"}
"""The page that each column of the table of borders is proved on."""

INDEX = (FOLDER / "index.md").read_text("utf-8")


def rows_of(page: str) -> list[Row]:
    """Return the rows of a page's tables."""
    return [each for each in parts((FOLDER / f"{page}.md").read_text("utf-8")) if isinstance(each, Row)]


@pytest.mark.parametrize("page", NEEDED)
def test_every_row_of_a_page_holds(page: str) -> None:
    """In a process of its own: Keras has one backend for each, and here that is to be one that is not ours."""
    for name in NEEDED[page]:
        if find_spec(name) is None:
            missing(f"{name} is not installed")
    if page == "matlab" and shutil.which(OCTAVE) is None:
        missing("GNU Octave is not installed: apt-get install octave octave-image")
    path = FOLDER / f"{page}.md"
    count = len(re.findall(r"^\| `", path.read_text("utf-8"), re.MULTILINE))
    assert count > 20
    command = [sys.executable, "-m", "tests.coming_from", str(path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
    assert (done.stdout, done.returncode) == (f"{count} rows\n", 0), done.stderr


def test_every_page_is_run() -> None:
    """What stands in the folder, beside the page that lists them."""
    assert sorted(path.stem for path in FOLDER.glob("*.md")) == sorted([*NEEDED, "index"])


@pytest.mark.parametrize("page", NEEDED)
def test_the_first_page_names_every_call(page: str) -> None:
    """Each row has a function that is listed there, and each function that is listed has a row."""
    (told,) = re.findall(rf"^- \[[^]]+\]\({page}\.md\):(.+(?:\n  .+)*)", INDEX, re.MULTILINE)
    names = [name.split(".")[-1] for name in re.findall(r"`([\w.]+)`", told)]
    rows = [row.theirs for row in rows_of(page)]
    assert [row for row in rows if not any(f"{name}(" in row for name in names)] == []
    assert [name for name in names if not any(f"{name}(" in row for row in rows)] == []


def test_the_table_of_borders_is_what_rows_show() -> None:
    """Each name of a border stands in a row of its library's page, beside the mode that the table gives."""
    head, _, *lines = re.findall(r"^\|(.+)\|$", INDEX, re.MULTILINE)
    _, *columns = (cell.strip(" `") for cell in head.split("|"))
    assert set(columns) == COLUMNS.keys()
    proved = 0
    for line in lines:
        mode, *names = (cell.strip(" `") for cell in line.split("|"))
        for column, name in zip(columns, names, strict=True):
            beside = [row.ours for row in rows_of(COLUMNS[column]) if name and re.search(rf"\b{name}\b", row.theirs)]
            modes = [re.search(r'padding_mode="(\w+)"', ours) for ours in beside]
            assert (mode in [found[1] if found else "constant" for found in modes]) == bool(name), (mode, column)
            proved += bool(name)
    assert proved == 20


NUMBERS = np.arange(1.0, 5)


@pytest.mark.parametrize(
    ("theirs", "ours", "told"),
    [
        (NUMBERS, NUMBERS, None),
        (NUMBERS, NUMBERS + (ROUNDINGS - 1) * 4 * np.finfo(float).eps, None),
        (NUMBERS, NUMBERS + (ROUNDINGS + 1) * 4 * np.finfo(float).eps, "values differ by up to"),
        (NUMBERS.astype(int), NUMBERS.astype(int) + np.eye(4, dtype=int)[3], "values differ by up to 1"),
        (NUMBERS, NUMBERS.astype(np.float32), "dtype float64 beside float32"),
        (NUMBERS, NUMBERS[None], r"shape \(4,\) beside \(1, 4\)"),
        (NUMBERS * 0, NUMBERS * 0, "all numbers are the same"),
        (NUMBERS, NUMBERS * np.nan, "values differ"),
        ((NUMBERS, NUMBERS), (NUMBERS, NUMBERS + 1), "values differ by up to 1"),
        ((NUMBERS, NUMBERS), (NUMBERS,), "2 results beside 1"),
    ],
)
def test_a_difference_is_noticed(theirs: object, ours: object, told: str | None) -> None:
    """Planted: values, dtypes, shapes, and what compares nothing."""
    found = difference(theirs, ours)
    assert found is None if told is None else found is not None and re.match(told, found)


PAGE = """
```python
x = [1, 2, 3]
```

| theirs | ours |
|---|---|
| `x[::-1]` | `[3, 2, 1]` |
| `x` | `[1, 2, 4]` |
| `sorted(x)` | `len(y)` |
"""


def test_a_wrong_row_is_told() -> None:
    """With its line, its calls, and what is wrong."""
    assert failures(PAGE) == (
        3,
        [
            "line 9: x | [1, 2, 4]: values differ by up to 1",
            "line 10: sorted(x) | len(y): NameError: name 'y' is not defined",
        ],
    )


@pytest.mark.parametrize("row", ["| `x` | x |", "| `x` | `x` | `x` |", "| `x` or `y` | `x` |", "| `x` |", "|`x`|`x`|"])
def test_what_is_no_pair_of_calls_is_an_error(row: str) -> None:
    """So no row is passed over."""
    with pytest.raises(ValueError, match="line 11 is no pair of calls"):
        failures(PAGE + row + "\n")
