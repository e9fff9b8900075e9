"""Golden vectors: what each format says, read back, is the plain loops' integers; numbers round as fractions do."""

from __future__ import annotations

import errno
import itertools
import json
import math
import os
import re
import shutil
import subprocess
import tracemalloc
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from im2col import ArgumentError, DTypeError, FileError, MemoryBudgetError, ShapeError
from im2col.vectors.numbers import ROUNDINGS, Number, parse_number, quantized, requantized
from im2col.vectors.text import FORMATS, most_bytes, part_bytes
from im2col.vectors.tiles import Matrix
from im2col.vectors.writing import write_vectors

from .kit.command_line import fails, runner
from .kit.outcomes import missing, raises_exactly
from .kit.processes import HANG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from .kit.command_line import Result

    Tiles = dict[tuple[int, int], list[list[int]]]

RNG = np.random.default_rng(20)


def rounded(value: Fraction, rounding: str) -> int:
    """Return a fraction as an integer, by the words of each rule."""
    if rounding == "floor":
        return math.floor(value)
    if rounding == "half-up":
        return math.floor(value + Fraction(1, 2))
    return round(value)  # Python's own: half to even


def stored(value: float, bits: int, fraction: int, rounding: str, signed: bool = True) -> int:
    """Return the integer that stands for a value."""
    least, greatest = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if math.isinf(value):
        return least if value < 0 else greatest
    return min(max(rounded(Fraction(value) * 2**fraction, rounding), least), greatest)


# --- numbers


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("name", ["int4", "uint3", "Q0.7", "UQ2.2", "Q3.0", "int1", "Q7.8"])
def test_values_become_integers(name: str, rounding: Any) -> None:
    """Halves, their neighbours in floating point, integers of every dtype, infinities."""
    number = parse_number("number", name, 16)
    halves = np.arange(-80, 81) / 2.0 ** (number.fraction + 2)
    near = np.concatenate(
        [np.nextafter(halves, np.inf), np.nextafter(halves, -np.inf), halves, [np.inf, -np.inf, 1e300]]
    )
    for dtype in ("float64", "float32", "float16", "int8", "uint8", "int64", "uint64", "bool"):
        whole = np.array([0, 1, 2, 127, 100])
        if dtype == "int64":
            whole = np.array([-(2**63), 2**63 - 1, -5, 5])
        elif dtype == "uint64":
            whole = np.array([2**64 - 1, 2**63, 7], np.uint64)
        with np.errstate(over="ignore"):
            values = (near if dtype.startswith("float") else whole).astype(dtype)
        found, beyond = quantized(values, number, rounding)
        asked = (number.bits, number.fraction, rounding, number.signed)
        expected = [stored(value, *asked) for value in values.tolist()]
        assert found.tolist() == expected
        free = [
            stored(value, 400, number.fraction, rounding) if math.isfinite(value) else None for value in values.tolist()
        ]
        assert beyond == sum(a != b for a, b in zip(expected, free, strict=True))


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("shift", [-3, 0, 1, 4])
def test_sums_lose_bits(rounding: Any, shift: int) -> None:
    """All sums of a small range, and great ones; bits fall away, or zeros come."""
    sums = np.concatenate([np.arange(-300, 301), [2**61, -(2**61)]])
    number = parse_number("number", f"Q2.{5 - shift}", 48)
    found, beyond = requantized(sums, 5, number, rounding)
    free = [rounded(Fraction(each, 32) * 2 ** (5 - shift), rounding) for each in sums.tolist()]
    expected = [min(max(each, number.least), number.greatest) for each in free]
    assert found.tolist() == expected
    assert beyond == sum(a != b for a, b in zip(expected, free, strict=True))


@pytest.mark.parametrize("name", ["int", "Int8", "Q.7", "Q8", "int0", "int17", "Q8.8", "float16", 8, "", "q0.7"])
def test_names_that_are_none(name: object) -> None:
    """The whole message."""
    message = (
        "number must be such as int8, uint4, Q3.4 (a sign, 3 bits before the point, 4 behind it) or UQ4.4, of at most "
        f"16 bits, got {name!r}"
    )
    with raises_exactly(ArgumentError, message):
        parse_number("number", name, 16)


# --- layers: plain loops, and what stands in the files


def layer(x: NDArray[Any], w: NDArray[Any], stride: Any, pad: Any, order: Any, groups: Any) -> Any:
    """Return column matrix, weight matrix and products of one CHW image, as lists of Python's integers."""
    channels, height, width = x.shape
    filters, each, kh, kw = w.shape
    at = {(c, i, j): int(x[c, i, j]) for c, i, j in np.ndindex(x.shape)}
    taps = list(itertools.product(range(channels), range(kh), range(kw)))
    if order == "channel-last":
        taps.sort(key=lambda tap: (tap[1], tap[2], tap[0]))
    stops = [
        (i, j) for i in range(0, height + 2 * pad - kh + 1, stride) for j in range(0, width + 2 * pad - kw + 1, stride)
    ]
    columns = [[at.get((c, i + ky - pad, j + kx - pad), 0) for c, ky, kx in taps] for i, j in stops]
    per_group = filters // groups
    weights = [
        [int(w[f, c - each * (f // per_group), ky, kx]) if c // each == f // per_group else 0 for f in range(filters)]
        for c, ky, kx in taps
    ]
    sums = [
        [sum(a * b for a, b in zip(row, column, strict=True)) for column in zip(*weights, strict=True)]
        for row in columns
    ]
    return columns, weights, sums


def tiles_of(rows: list[list[int]], height: int, width: int) -> Tiles:
    """Return a matrix cut by hand, with zeros at its ends."""
    at = {(i, j): value for i, row in enumerate(rows) for j, value in enumerate(row)}
    down, across = math.ceil(len(rows) / height), math.ceil(len(rows[0]) / width)
    return {
        (i, j): [[at.get((i * height + r, j * width + c), 0) for c in range(width)] for r in range(height)]
        for i in range(down)
        for j in range(across)
    }


def read_back(text: str, form: str, bits: int, signed: bool, shape: tuple[int, ...]) -> list[int]:
    """Return all numbers of a file in order, by the rules of its format alone."""
    width = shape[-1]
    if form == "json":
        return [int(value) for value in np.array(json.loads(text)["tiles"]).reshape(shape).ravel()]
    if form == "c":
        sizes = re.search(r"static const u?int\d+_t \w+((\[\d+\])+) = ", text)
        assert sizes
        assert tuple(map(int, re.findall(r"\d+", sizes[1]))) == shape
        body = re.sub(r"/\*.*?\*/", "", text[sizes.end() :], flags=re.DOTALL)
        return [int(each) for each in re.findall(r"-?\d+", body[: body.index(";")])]
    mark = "#" if form == "csv" else "//"
    lines = [line for line in text.splitlines() if not line.startswith(mark)]
    if form == "csv":
        return [int(each) for line in lines for each in line.split(",")]
    words = [int(word, 16) for line in lines for word in line.split()]
    if form == "hex":
        words = [word >> (bits * k) & (2**bits - 1) for word in words for k in range(width)]
    assert all(0 <= word < 2**bits for word in words)
    return [word - 2**bits if signed and word >= 2 ** (bits - 1) else word for word in words]


CASES: list[dict[str, Any]] = [
    {"image": (2, 6, 5), "filters": (5, 2, 3, 2), "tile": (4, 4, 4), "padding": 1},
    {"image": (1, 7, 7), "filters": (1, 1, 3, 3), "tile": None, "stride": 2},
    {"image": (4, 5, 5), "filters": (4, 2, 2, 2), "tile": (3, 5, 2), "groups": 2, "tap_order": "channel-last"},
    {"image": (3, 4, 4), "filters": (2, 3, 1, 1), "tile": (16, 2, 8)},
]
NUMBERS = [("int8", "int8", None), ("Q1.2", "int5", "Q6.1"), ("uint4", "Q0.7", "Q3.4"), ("Q7.8", "Q3.12", None)]


@pytest.mark.whole
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("names", NUMBERS, ids=[str(names) for names in NUMBERS])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_files_hold_the_layer(
    tmp_path: Path, form: Any, names: tuple[str, str, str | None], case: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each number of each file, tile by tile, is that of plain loops over fractions."""
    monkeypatch.setattr("im2col.vectors.tiles.ENTRIES", 40)  # so that tiles are read in parts
    monkeypatch.setattr("im2col.vectors.writing.ENTRIES", 40)
    given = CASES[case]
    options = {key: given[key] for key in ("stride", "padding", "groups", "tap_order") if key in given}
    rounding = ROUNDINGS[case % len(ROUNDINGS)]
    x, w = RNG.uniform(-2, 2, given["image"]), RNG.uniform(-2, 2, given["filters"])
    if names[0] == "int8":
        x, w = (RNG.integers(-128, 128, each.shape, np.int8) for each in (x, w))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "w.npy", w)
    words = dict(zip(("number", "weights_number", "result_number"), names, strict=True))
    done = write_vectors(
        tmp_path / "x.npy",
        tmp_path / "out",
        w.shape[2:],
        weights=tmp_path / "w.npy",
        form=form,
        tile=given["tile"],
        rounding=rounding,
        **words,  # type: ignore[arg-type]  # names
        **options,
    )
    kinds = [parse_number("number", name, 16) for name in names[:2] if name is not None]
    integers = [
        np.array([stored(v, k.bits, k.fraction, rounding, k.signed) for v in each.ravel().tolist()]).reshape(each.shape)
        for each, k in zip((x, w), kinds, strict=True)
    ]
    window = [
        options.get(*each) for each in (("stride", 1), ("padding", 0), ("tap_order", "channel-first"), ("groups", 1))
    ]
    columns, weights, sums = layer(integers[0], integers[1], *window)
    fraction = kinds[0].fraction + kinds[1].fraction
    wide = 32 if max(kinds[0].bits, kinds[1].bits) <= 8 else 48
    result = Number("", wide, fraction) if names[2] is None else parse_number("", names[2], 48)
    expected = [
        [stored(Fraction(each, 2**fraction), result.bits, result.fraction, rounding) for each in row]  # type: ignore[arg-type]  # exact
        for row in sums
    ]
    positions, taps, filters = given["tile"] or (len(columns), len(weights), len(weights[0]))
    matrices = [(columns, positions, taps), (weights, taps, filters), (expected, positions, filters)]
    for path, (rows, height, width), kind in zip(done.paths, matrices, (*kinds, result), strict=True):
        tiles = tiles_of(rows, height, width)
        down, across = (1 + max(place[axis] for place in tiles) for axis in (0, 1))
        found = read_back(path.read_text("ascii"), form, kind.bits, kind.signed, (down, across, height, width))
        assert found == [value for tile in tiles.values() for row in tile for value in row], path.name
        matrix = Matrix(path.stem, "", ("", ""), (len(rows), len(rows[0])), (height, width), kind, lambda *_: x, 1)
        assert path.stat().st_size <= most_bytes(matrix, form)
    assert [path.stem for path in done.paths] == ["columns", "weights", "expected"]


def test_what_became_the_greatest_is_counted(tmp_path: Path) -> None:
    """Of the image, the weights and the result; a note tells of each."""
    np.save(tmp_path / "x.npy", np.array([[300, 1], [2, -300]]))
    np.save(tmp_path / "w.npy", np.array([1, 200]).reshape(2, 1, 1, 1))
    notes: list[str] = []
    done = write_vectors(
        tmp_path / "x.npy",
        tmp_path,
        1,
        weights=tmp_path / "w.npy",
        number="int8",
        weights_number="int8",
        result_number="int8",
        note=notes.append,
    )
    assert done.saturated == {"image": 2, "weights": 1, "result": 3}
    assert notes == [
        "image: 2 of 4 were beyond int8 and became its least or greatest",
        "weights: 1 of 2 were beyond int8 and became its least or greatest",
        "result: 3 of 8 were beyond int8 and became its least or greatest",
    ]
    assert str(done).splitlines()[0] == "columns.mem    4 positions × 1 taps of int8, 1 × 1 tiles of 4 × 1, 652 B"


# --- what others read


def program(name: str) -> str:
    """Return the path of a program that some machines have."""
    found = shutil.which(name)
    if found is None:
        missing(f"{name} is not installed")
    return found


def printed(command: Sequence[object]) -> str:
    """Return what a command prints."""
    done = subprocess.run(
        [str(each) for each in command], capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def two_files(tmp_path: Path, form: Any) -> list[Path]:
    """Write a small layer of 5-bit numbers in tiles of 3 × 3, and return its columns and its result."""
    np.save(tmp_path / "x.npy", RNG.integers(-16, 16, (2, 5, 5), np.int8))
    np.save(tmp_path / "w.npy", RNG.integers(-16, 16, (4, 2, 2, 2), np.int8))
    done = write_vectors(
        *(tmp_path / "x.npy", tmp_path / form, 2),
        weights=tmp_path / "w.npy",
        form=form,
        tile=(3, 3, 3),
        number="int5",
        result_number="int11",
    )
    return [done.paths[0], done.paths[2]]


@pytest.mark.parametrize("form", ["mem", "hex"])
def test_verilog_reads_them(tmp_path: Path, form: str) -> None:
    """Icarus Verilog's ``$readmemh`` takes the file whole, without a warning, into the memory that its header names."""
    iverilog = program("iverilog")
    for path, bits in zip(two_files(tmp_path, form), (5, 11), strict=True):
        text = path.read_text()
        found = re.search(r"^// (reg \[(\d+):0\] (\w+) \[0:(\d+)\]);", text, re.MULTILINE)
        assert found
        (tmp_path / "read.v").write_text(
            f"module read;\n{found[1]};\ninteger i;\ninitial begin\n"
            f'$readmemh("{path}", {found[3]});\n'
            f'for (i = 0; i <= {found[4]}; i = i + 1) $display("%b", {found[3]}[i]);\nend\nendmodule\n'
        )
        printed([iverilog, "-o", tmp_path / "read", tmp_path / "read.v"])
        words = printed([program("vvp"), "-n", tmp_path / "read"]).split()
        assert len(words) == int(found[4]) + 1
        lines = [line for line in text.splitlines() if not line.startswith("//")]
        expected = [int(word, 16) for line in lines for word in line.split()]
        assert [int(word, 2) for word in words] == expected
        assert int(found[2]) + 1 == bits * (3 if form == "hex" else 1) == len(words[0])


def test_a_compiler_of_c_reads_them(tmp_path: Path) -> None:
    """Without a warning; the sums of what it read are those of the JSON file of the same layer."""
    paths = two_files(tmp_path, "c")
    np.testing.assert_array_equal(len(paths), 2)
    (tmp_path / "main.c").write_text(
        "#include <stdio.h>\n" + "".join(f'#include "{path}"\n' for path in paths) + "int main(void) {\n"
        "  const int8_t *c = &columns[0][0][0][0]; const int16_t *e = &expected[0][0][0][0];\n"
        '  for (unsigned i = 0; i < sizeof columns / sizeof *c; i++) printf("%d ", (int)c[i]);\n'
        '  for (unsigned i = 0; i < sizeof expected / sizeof *e; i++) printf("%d ", (int)e[i]);\n'
        "  return 0;\n}\n"
    )
    flags = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
    printed([program("cc"), *flags, "-o", tmp_path / "main", tmp_path / "main.c"])
    numbers = [int(each) for each in printed([tmp_path / "main"]).split()]
    texts = [path.read_text() for path in paths]
    shapes = [(6, 3, 3, 3), (6, 2, 3, 3)]
    assert numbers == [
        v for text, shape in zip(texts, shapes, strict=True) for v in read_back(text, "c", 0, True, shape)
    ]


# --- files, memory, errors


def test_only_a_part_is_in_memory(tmp_path: Path) -> None:
    """A matrix of 2.1 million entries is written in the memory that a part of 65,536 takes."""
    np.save(tmp_path / "x.npy", np.zeros((184, 184), np.int8))
    peaks = []
    for _ in range(2):  # the first call imports and compiles
        tracemalloc.start()
        done = write_vectors(tmp_path / "x.npy", tmp_path / "out", 8, form="mem", force=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert done.paths[0].stat().st_size > 5 << 20
    assert peaks[1] < 24 << 20


def test_all_files_or_none(tmp_path: Path) -> None:
    """Where writing breaks off in the last file, no file is there, nor the folder that was made for them."""
    np.save(tmp_path / "x.npy", np.ones((8, 8), np.int8))
    np.save(tmp_path / "w.npy", np.ones((2, 1, 3, 3), np.int8))

    def progress(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    for folder in (tmp_path / "new/and/in/it", tmp_path / "there"):
        (tmp_path / "there").mkdir(exist_ok=True)
        with pytest.raises(KeyboardInterrupt):
            write_vectors(tmp_path / "x.npy", folder, 3, weights=tmp_path / "w.npy", progress=progress)
    assert not (tmp_path / "new").exists()
    assert list((tmp_path / "there").iterdir()) == []


def test_files_that_are_there_are_seen_first(tmp_path: Path) -> None:
    """Before an image of which every number would be rounded is read; here it could not be."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/expected.csv").touch()
    with raises_exactly(
        FileError,
        f"write_vectors: cannot write {str(tmp_path / 'out/expected.csv')!r}: it exists already; name another file, or "
        "pass force (--force) to replace it",
    ):
        np.save(tmp_path / "w.npy", np.ones((2, 1, 3, 3), np.int8))
        write_vectors(tmp_path / "none.npy", tmp_path / "out", 3, weights=tmp_path / "w.npy", form="csv")


@pytest.mark.skipif(os.name != "posix", reason="this system has other permissions")
@pytest.mark.parametrize("private", ["x.npy", "w.npy"])
def test_what_was_private_stays_so(tmp_path: Path, private: str) -> None:
    """Files that come from one that only its owner reads are read by nobody else."""
    np.save(tmp_path / "x.npy", np.ones((8, 8), np.int8))
    np.save(tmp_path / "w.npy", np.ones((2, 1, 3, 3), np.int8))
    (tmp_path / "x.npy").chmod(0o644)
    (tmp_path / "w.npy").chmod(0o644)
    (tmp_path / private).chmod(0o600)
    done = write_vectors(tmp_path / "x.npy", tmp_path / "out", 3, weights=tmp_path / "w.npy")
    assert [path.stat().st_mode & 0o077 for path in done.paths] == [0, 0, 0]


@pytest.mark.parametrize("form", FORMATS)
def test_a_row_takes_no_more_than_it_is_said_to(tmp_path: Path, form: Any) -> None:
    """Of a tile so wide that its row is all that is in memory."""
    np.save(tmp_path / "x.npy", RNG.integers(-(1 << 15), 1 << 15, (64, 64), np.int16))
    wide = 1 << 17
    number = parse_number("number", "int16", 16)
    matrix = Matrix(
        "columns", "", ("positions", "taps"), (1, 4096), (1, wide), number, lambda *_: np.zeros((1, 1), np.int64), 1
    )
    peaks = []
    for _ in range(2):  # the first call imports and compiles
        tracemalloc.start()
        write_vectors(tmp_path / "x.npy", tmp_path / "out", 64, form=form, tile=(1, wide, 1), force=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert wide < peaks[1] < part_bytes(matrix)


def test_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole message of each; nothing is left behind."""
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.ones((1, 8, 8), np.int8))
    np.save("f.npy", np.full((8, 8), np.nan))
    np.save("z.npy", np.ones((8, 8)) * 1j)
    np.save("none.npy", np.ones((0, 8, 8), np.int8))
    np.save("w.npy", np.ones((2, 1, 3, 3), np.int8))
    np.save("long.npy", np.ones((2, 1, 3, 3), np.int64))
    np.save("bad.npy", np.full((2, 1, 3, 3), np.nan))
    (tmp_path / "there").mkdir()
    (tmp_path / "there/columns.mem").touch()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    calls: list[tuple[str, str, dict[str, Any], type[Exception], str]] = [
        ("x", "out", {"form": "bin"}, ArgumentError, f"form must be {' or '.join(map(repr, FORMATS))}, got 'bin'"),
        (
            "x",
            "out",
            {"rounding": "up"},
            ArgumentError,
            "rounding must be 'half-even' or 'half-up' or 'floor', got 'up'",
        ),
        (
            "x",
            "-",
            {},
            FileError,
            "mem makes several files, which standard output cannot take apart; name a folder",
        ),
        (
            "x",
            "out",
            {"tile": (4, 4)},
            ArgumentError,
            "tile must be positions, taps and filters such as (4, 4, 4), got (4, 4)",
        ),
        (
            "f",
            "out",
            {},
            DTypeError,
            "the image has dtype float64; say which numbers the hardware has, as in number='int8' or number='Q0.7'",
        ),
        (
            "f",
            "out",
            {"number": "int8"},
            ArgumentError,
            "the image has NaN, which no integer stands for; replace it, as np.nan_to_num does",
        ),
        (
            "z",
            "out",
            {},
            DTypeError,
            "the image has dtype complex128, which no integers stand for; convert it first",
        ),
        ("none", "out", {}, ShapeError, "the image (0, 8, 8) has no pixels; pass one with some"),
        (
            "x",
            "out",
            {"weights": "w.npy", "kernel_size": 2},
            ShapeError,
            "weights must be (filters, 1, 2, 2) for this image and groups=1, got shape (2, 1, 3, 3)",
        ),
        (
            "x",
            "there",
            {},
            FileError,
            "cannot write 'there/columns.mem': it exists already; name another file, or pass force (--force) to "
            "replace it",
        ),
        ("x", "file", {}, FileError, "cannot make the folder 'file': File exists; name another"),
        ("x", "file/in", {}, FileError, "cannot make the folder 'file/in': Not a directory; name another"),
        (
            "x",
            "a" * 300,
            {},
            FileError,
            f"cannot make the folder '{'a' * 300}': {os.strerror(errno.ENAMETOOLONG)}; name another",
        ),
        ("x", "a\0b", {}, FileError, "cannot make the folder 'a\\x00b': embedded null byte; name another"),
        ("x", "", {}, FileError, "the folder has no name, got ''; name one, or . for this one"),
        *(
            (
                "x",
                "out",
                {name: value},
                ArgumentError,
                f"{name} is for weights, and there are none; pass weights='w.npy', or leave it out",
            )
            for name, value in {"groups": 2, "weights_number": "nonsense", "result_number": "int8"}.items()
        ),
        (
            "x",
            "out",
            {"weights": "long.npy"},
            DTypeError,
            "the array of weights has dtype int64; say which numbers the hardware has, as in weights_number='int8' or "
            "weights_number='Q0.7'",
        ),
        (
            "x",
            "out",
            {"weights": "bad.npy", "weights_number": "int8"},
            ArgumentError,
            "the array of weights has NaN, which no integer stands for; replace it, as np.nan_to_num does",
        ),
        (
            "x",
            "new/out",
            {"tile": (1, 1 << 24, 1), "form": "hex"},
            MemoryBudgetError,
            "tiles of 1 x 16777216 numbers, of which a row is in memory as text, would take 2.5 GiB but 1.0 GiB are "
            "available; use smaller tiles",
        ),
        (
            "x",
            "out",
            {"padding": 1 << 20, "stride": 1 << 19},
            MemoryBudgetError,
            "the image (1, 2097160, 2097160) in integers would take 4.0 TiB but 1.0 GiB are available; use a smaller "
            "image, or less padding",
        ),
    ]
    monkeypatch.setattr("im2col.engine.host.available_memory", lambda: 1 << 30)
    for source, out, arguments, error, message in calls:
        with raises_exactly(error, f"write_vectors: {message}"):
            write_vectors(f"{source}.npy", out, **({"kernel_size": 3} | arguments))
    monkeypatch.setattr("im2col.files.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1 << 10}))
    with raises_exactly(
        FileError,
        f"write_vectors: columns.mem takes 5.2 KiB but the disk of {tmp_path / 'new/out'} has 1.0 KiB free; write to "
        "another disk",
    ):
        write_vectors("x.npy", "new/out", 3)
    assert sorted(tmp_path.rglob("*")) == before


# --- the command line


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return what runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return runner(capsys)


def test_the_command(run: Callable[..., Result], tmp_path: Path) -> None:
    """Every option arrives; a photograph is an image, too."""
    rng = np.random.default_rng(0)
    np.save("x.npy", rng.standard_normal((6, 6, 2)))
    np.save("w.npy", rng.standard_normal((4, 1, 2, 2)))
    words = "--number Q1.3 --weights-number Q0.4 --result-number Q3.3 --rounding floor"
    window = (
        "--kernel-size 2 --stride 2 --padding 1 --padding-mode edge --layout HWC --groups 2 --tap-order channel-last"
    )
    line = f"matrix x.npy {window} --format csv --tile 4x8x2 --weights w.npy {words} -o out"
    done = run(*line.split())
    assert done.status == 0
    assert re.fullmatch(r"(im2col: note: (image|weights): \d+ of \d+ were beyond Q[01].[34] and .*\n){2}", done.err)
    assert re.fullmatch(
        r"columns.csv    16 positions × 8 taps of Q1.3, 4 × 1 tiles of 4 × 8, \S+ (B|KiB)\n"
        r"weights.csv    8 taps × 4 filters of Q0.4, 1 × 2 tiles of 8 × 2, \S+ (B|KiB)\n"
        r"expected.csv   16 positions × 4 filters of Q3.3, 4 × 2 tiles of 4 × 2, \S+ (B|KiB)\n"
        r"written        out, \d+\.\d\d s\n",
        done.out,
    )
    write_vectors(
        *("x.npy", "again", 2),
        weights="w.npy",
        form="csv",
        tile=(4, 8, 2),
        number="Q1.3",
        weights_number="Q0.4",
        result_number="Q3.3",
        rounding="floor",
        stride=2,
        padding=1,
        padding_mode="edge",
        layout="HWC",
        groups=2,
        tap_order="channel-last",
    )
    for name in ("columns", "weights", "expected"):
        assert (tmp_path / f"out/{name}.csv").read_bytes() == (tmp_path / f"again/{name}.csv").read_bytes()
    Image.fromarray(rng.integers(0, 256, (7, 9, 3), np.uint8)).save("a.png")
    done = run("matrix", "a.png", "--kernel-size", 3, "--format", "json", "-o", "photo")
    assert done.status == 0
    assert json.loads((tmp_path / "photo/columns.json").read_text())["number"]["name"] == "uint8"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "--format txt -o out",
            "--format must be 'npy' or 'mem' or 'hex' or 'c' or 'csv' or 'json', got 'txt'",
        ),
        ("-o c.npy --tile 4x4x4", "--tile is for golden vectors; pass --format mem, or leave it out"),
        ("-o c.npy --result-number int8", "--result-number is for golden vectors; pass --format mem, or leave it out"),
        (
            "--format c -o out --orientation columns",
            "--orientation is for .npy files; leave it out: a position is a row of golden vectors",
        ),
        ("--format c -o out --tile 4,4", "--tile must be positions, taps and filters such as (4, 4, 4), got (4, 4)"),
        (
            "--format c -o out",
            "the image has dtype float64; say which numbers the hardware has, as in --number int8 or --number Q0.7",
        ),
    ],
)
def test_the_command_refuses(run: Callable[..., Result], line: str, message: str) -> None:
    """In the words of its options."""
    np.save("x.npy", np.ones((5, 5)))
    fails(run("matrix", "x.npy", "--kernel-size", "3", *line.split()), f"matrix: {message}")
