"""The bugs that `make mutate` plants: that each is planted, that it is noticed, and that nothing else is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from .kit.processes import HANG_SECONDS, REPOSITORY
from .mutants import EQUIVALENT, FILES, mutants
from .mutate import MUTATIONS, Mutation, planted, together
from .planting import PACKAGE

TESTS = Path(__file__).parent
mutants_of = cache(mutants)
"""What is no program is refused there."""


@pytest.mark.every
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.why)
def test_mutations_still_apply(mutation: Mutation) -> None:
    """The text that is replaced stands in its file once, and the tests that must notice exist."""
    plant = planted(mutation)
    assert plant.text != (PACKAGE / mutation.file).read_text()
    assert all((TESTS / name.partition("::")[0]).is_file() for name in plant.tests)


@pytest.mark.parametrize("file", FILES)
def test_mutants_are_programs_with_one_change(file: str) -> None:
    """Each differs from its file in one line, has a name of its own, and is told from the others by it."""
    lines, found = (PACKAGE / file).read_text().splitlines(), mutants_of(file)
    assert len({mutant.text for mutant in found}) == len({mutant.name for mutant in found}) == len(found) > 0
    for mutant in found:
        assert sum(a != b for a, b in zip(lines, mutant.text.splitlines(), strict=True)) == 1
    assert all((TESTS / name.partition("::")[0]).is_file() for name in FILES[file])


def test_what_is_turned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Integers of formulas, comparisons and sums; neither messages, defaults and annotations nor what is outside.

    A comparison beside an integer is turned by that.
    """
    source = (
        "TUNED = 3 + 4\n"
        "def f(a: int = 5) -> list[int]:\n"
        '    """Return 1 + 1."""\n'
        "    a += 2\n"
        "    if 0 < a <= b:\n"
        '        raise ValueError(f"{a + 1} of {3 + 4}")\n'
        "    return [a + (a), max(-1, a), a[3]]\n"
    )
    (tmp_path / "some.py").write_text(source)
    monkeypatch.setattr("tests.mutants.PACKAGE", tmp_path)
    assert [mutant.name.removeprefix("some.py f: ") for mutant in mutants("some.py")] == [
        "a -= 2",
        "a += 1",
        "a += 3",
        "if 0 < a < b:",
        "if (-1) < a <= b:",
        "if 1 < a <= b:",
        "return [a - (a), max(-1, a), a[3]]",
        "return [a + (a), max(-0, a), a[3]]",
        "return [a + (a), max(-2, a), a[3]]",
    ]


def test_mutants_that_change_nothing_still_exist() -> None:
    """The table names mutants as they are generated today."""
    assert EQUIVALENT.keys() <= {mutant.name for file in FILES for mutant in mutants_of(file)}


def test_tests_that_are_asked_for_together_run_once() -> None:
    """Each name is in one part, and whoever asks for one name of a part asks for all of it."""
    asked = [("a", "b", "c"), ("c", "a"), ("d",), ("b", "e", "f"), ("a", "c")]
    parts = together(asked)
    assert sorted(map(sorted, parts)) == [["a", "c"], ["b"], ["d"], ["e", "f"]]


PLANTING = """
from tests.mutate import MUTATIONS, planted
from tests.planting import Plant, judge

def first(file, test):
    return planted(next(m for m in MUTATIONS if m.file == file and m.tests.startswith(test)))

if __name__ == "__main__":
    wrong = first("spec/geometry.py", "test_geometry.py")
    kernel = first("engine/builder.py", "test_stores.py::test_tiles")
    sound = Plant(kernel.file, None, kernel.tests)
    endless = Plant("spec/geometry.py", "while True:\\n    pass\\n", wrong.tests, cpu_seconds=1)
    plants = [wrong, Plant(wrong.file, None, wrong.tests), kernel, sound, endless]
    found = {id(outcome.plant): outcome.status for outcome in judge(plants, 2)}
    print(*(found[id(plant)] for plant in plants))
"""


@pytest.mark.wide
def test_bugs_are_noticed_and_the_users_cache_is_left_alone(tmp_path: Path) -> None:
    """A wrong formula, a wrong kernel and one that never ends are caught, the library as it is passes."""
    home = tmp_path / "home"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("IM2COL_", "XDG_"))}
    (tmp_path / "planting.py").write_text(PLANTING)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "planting.py")],
        env=environment | {"HOME": str(home), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    statuses = [int(word) for word in done.stdout.split()]
    assert statuses[:4] == [1, 0, 1, 0], done.stderr
    assert statuses[4] < 0
    assert not home.exists()
