"""The page on accelerators: its commands, its array in a simulator, its Python; and an array with a fault is found."""

from __future__ import annotations

import doctest
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import im2col

from .kit.command_line import runner
from .kit.outcomes import missing
from .kit.processes import HANG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .kit.command_line import Result

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs/verify-an-accelerator.md"
SOURCES = [REPOSITORY / "examples/systolic" / name for name in ("systolic.v", "testbench.v")]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return what runs a command of ours in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return runner(capsys)


def simulated(sources: list[Path], *options: str) -> str:
    """Return what a simulation in the working folder prints; the compiler has no complaint."""
    for name in ("iverilog", "vvp"):
        if shutil.which(name) is None:
            missing(f"{name} is not installed")
    for command in (
        ["iverilog", "-g2005", "-Wall", *options, "-o", "simulation", *map(str, sources)],
        ["vvp", "-n", "simulation"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def blocks() -> Iterator[tuple[str, str]]:
    """Yield the page's blocks of code, with their languages."""
    yield from re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def test_the_page_runs(run: Callable[..., Result], tmp_path: Path) -> None:
    """From top to bottom: each command prints the block below it, and each example what it shows."""
    (tmp_path / "examples").symlink_to(REPOSITORY / "examples")
    examples, printed, tried = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE), "", 0
    names: dict[str, object] = {}
    compiled: list[str] = []
    for language, text in blocks():
        if language == "python":
            test = doctest.DocTestParser().get_doctest(text, names, PAGE.name, str(PAGE), 0)
            assert examples.run(test, clear_globs=False).failed == 0
            names = test.globs
        elif language == "sh":
            printed = ""
            for line in text.splitlines():
                program, *arguments = shlex.split(line)
                if program == "im2col":
                    done = run(*arguments)
                    assert done.status == 0
                    printed += done.err + re.sub(r"^written .*\n", "", done.out, flags=re.MULTILINE)
                elif program == "vvp":
                    printed += simulated([tmp_path / name for name in compiled])
                else:
                    assert arguments[:3] == ["-g2005", "-o", "simulation"]
                    compiled = arguments[3:]
        else:
            assert (language, text) == ("text", printed)
        tried += 1
    assert tried >= 9


def result() -> list[int]:
    """Return the simulator's words."""
    return [int(word, 16) for word in Path("result.hex").read_text("ascii").split()]


@pytest.mark.parametrize(
    ("image", "filters", "positions", "tiles"),
    [
        ((1, 5, 5), (1, 1, 3, 3), 4, (3, 3, 1)),
        ((5, 6, 4), (9, 5, 1, 1), 8, (3, 2, 3)),
        ((2, 4, 4), (4, 2, 2, 2), 9, (1, 2, 1)),
    ],
)
def test_the_array_computes_any_layer(
    run: Callable[..., Result],
    image: tuple[int, ...],
    filters: tuple[int, ...],
    positions: int,
    tiles: tuple[int, int, int],
) -> None:
    """Its words are the convolution, by `conv`, which knows nothing of the files."""
    rng = np.random.default_rng(4)
    x, w = rng.integers(-128, 128, image, np.int8), rng.integers(-128, 128, filters, np.int8)
    np.save("image.npy", x)
    np.save("filters.npy", w)
    kernel = ",".join(map(str, filters[2:]))
    tile = f"{positions}x4x4"
    files = ("--weights", "filters.npy", "--format", "hex", "--tile", tile, "-o", "vectors")
    assert run("matrix", "image.npy", "--kernel-size", kernel, *files).status == 0
    names = ("DOWN", "TAPS", "FILTERS", "POSITIONS")
    counts = [f"-Ptestbench.{name}={n}" for name, n in zip(names, (*tiles, positions), strict=True)]
    said = simulated(SOURCES, *counts)
    assert f"{tiles[0] * tiles[2] * positions} words, 0 wrong, " in said
    words = np.array([[word >> 32 * c & 0xFFFFFFFF for c in range(4)] for word in result()], np.uint32).view(np.int32)
    sums = words.reshape(tiles[0], tiles[2], positions, 4).swapaxes(1, 2).reshape(tiles[0] * positions, -1)
    expected = im2col.conv(x, w).reshape(len(w), -1).T
    np.testing.assert_array_equal(sums[: len(expected), : len(w)], expected)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("sum_in + weight * pixel_in", "sum_in - weight * pixel_in"),
        ("delay #(BITS, r) skew", "delay #(BITS, ROWS - r) skew"),
        ("if (load) weight <= weight_in;", "weight <= weight_in;"),
        ("input signed [BITS-1:0] pixel_in", "input [BITS-1:0] pixel_in"),
    ],
)
def test_a_fault_in_the_array_is_found(run: Callable[..., Result], tmp_path: Path, right: str, wrong: str) -> None:
    """A sign, a delay, a weight that does not stay, pixels without a sign: words are wrong, and the first is shown."""
    language, text = next(block for block in blocks() if block[0] == "sh")
    assert language == "sh"
    rng = np.random.default_rng(0)
    np.save("image.npy", rng.integers(-128, 128, (3, 8, 8), np.int8))
    np.save("filters.npy", rng.integers(-128, 128, (6, 3, 3, 3), np.int8))
    assert run(*shlex.split(text)[1:]).status == 0
    source = SOURCES[0].read_text("utf-8")
    assert source.count(right) == 1
    (tmp_path / "faulty.v").write_text(source.replace(right, wrong))
    said = simulated([tmp_path / "faulty.v", SOURCES[1]])
    assert re.match(r"word \d+ is [0-9a-fx]{32} but [0-9a-f]{32} is expected\n128 words, [1-9]\d* wrong, ", said)
