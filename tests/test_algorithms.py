"""What every algorithm promises: exact integers, bounds for floats, the same bits, bounded memory; the registry."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import im2col.algorithms
from im2col import ArgumentError, conv, conv2d, plan
from im2col.algorithms import explicit, registry
from im2col.engine import gather
from im2col.engine.boxes import box_steps
from im2col.spec.problem import make_problem

from .kit.budget import peak_of
from .kit.convolutions import ALGORITHMS, INTEGERS, bits, conv_by, layer, promotes, result_dtype, stored
from .kit.oracles import Window
from .kit.outcomes import raises_exactly
from .kit.processes import HANG_SECONDS
from .kit.strategies import BFLOAT16, DTYPES, PADDING_MODES, numbers
from .kit.targets import forget_choices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

FLOATS = tuple(d for d in DTYPES if d.kind not in "biu")


# Integers.


def extremes(shape: tuple[int, ...], dtype: np.dtype[Any], seed: int) -> Array:
    """Return integers of the whole range of a dtype, its ends more often than not."""
    if dtype.kind == "b":
        return numbers(shape, dtype, seed)
    info, rng = np.iinfo(dtype), np.random.default_rng(seed)
    anything = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    ends = rng.choice(np.array([info.min, info.max, info.max - 1], dtype), shape)
    return np.where(rng.random(shape) < 0.3, anything, ends)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("x_dtype", INTEGERS, ids=str)
def test_integers_are_exact_and_wrap(x_dtype: np.dtype[Any], algorithm: str) -> None:
    """With every second integer dtype, at the ends of their ranges, sums are those of integers modulo the width."""
    for w_dtype in INTEGERS:
        x, w = extremes((3, 4, 4), x_dtype, 0), extremes((2, 3, 3, 3), w_dtype, 1)
        dtype = result_dtype(x_dtype, w_dtype)
        if dtype.kind == "f":  # int64 with uint64
            continue
        bias = extremes((2,), dtype, 2)
        sums = layer(x, w, Window((4, 4), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1)), "CHW", bias=bias)
        result = conv_by(algorithm, x, w, bias, padding=1)
        np.testing.assert_array_equal(result, stored(sums, dtype), strict=True)


@pytest.mark.parametrize(
    ("dtype", "end", "odd", "taps"),
    [("uint8", 255, 253, 258), ("uint8", 255, 253, 259), ("int8", -128, -127, 1024), ("int8", -128, -127, 1040)],
)
def test_eight_bit_sums_are_exact_where_float32_ends(dtype: str, end: int, odd: int, taps: int) -> None:
    """Sums of 8-bit products pass 2²⁴, up to where float32 holds every integer, and keep their last bit."""
    x, w = np.full(taps, end, dtype), np.full((1, 1, taps), end, dtype)
    x[0] = w[0, 0, 0] = odd
    assert conv(x, w, algorithm="explicit").item() == (taps - 1) * end**2 + odd**2


@pytest.mark.parametrize("terms", [2, 3, 8])
@pytest.mark.parametrize("low", [0, 1])
def test_wide_sums_are_exact_where_float64_ends(terms: int, low: int) -> None:
    """Sums of int32 with uint32, in int64, keep their last bit beyond 2⁵³."""
    x, w = np.full(terms, np.iinfo(np.int32).max, np.int32), np.full((1, 1, terms), (1 << 24) + 1, np.uint32)
    w[0, 0, -1] = low
    expected = (terms - 1) * ((1 << 31) - 1) * ((1 << 24) + 1) + low * ((1 << 31) - 1)
    assert conv(x, w, algorithm="explicit").item() == expected


# Floats.


def fractions(a: Array) -> NDArray[np.object_]:
    """Return every real number as a fraction, exactly."""
    wide = a.astype(np.float32) if a.dtype == BFLOAT16 else a
    return np.array([Fraction(*v.as_integer_ratio()) for v in wide.flat], object).reshape(a.shape)


def random_floats(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return normal numbers of any float or complex dtype."""
    real, imaginary = rng.standard_normal((2, *shape))
    values: Array = real + 1j * imaginary if dtype.kind == "c" else real
    return values.astype(dtype)


def real_products(x: Array, w: Array) -> list[tuple[NDArray[np.object_], NDArray[np.object_]]]:
    """Return the pairs of real factors whose products sum to x·w, for the real part and then the imaginary one."""
    if "c" not in (x.dtype.kind, w.dtype.kind):
        return [(fractions(x), fractions(w))]
    a, b, c, d = (fractions(part) for part in (x.real, x.imag, w.real, w.imag))
    return [(np.append(a, -b), np.append(c, d)), (np.append(a, b), np.append(d, c))]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("x_dtype", FLOATS, ids=str)
def test_floats_stay_within_the_bound(x_dtype: np.dtype[Any], algorithm: str) -> None:
    """A sum of n products, in any order, is within (n + 2)·ε·Σ|x·w| of the exact one, plus the final rounding."""
    rng = np.random.default_rng(0)
    for w_dtype in FLOATS:
        if not promotes(x_dtype, w_dtype):
            continue
        x, w = (random_floats(rng, (3, 5, 5), d) for d in (x_dtype, w_dtype))
        dtype = result_dtype(x_dtype, w_dtype)
        result = conv_by(algorithm, x, w[None]).item()
        sums_in = np.float32 if dtype.itemsize == 2 else np.empty(0, dtype).real.dtype
        stored_in = 2.0**-8 if dtype == BFLOAT16 else float(np.finfo(dtype).eps)
        for part, (a, b) in zip((result.real, result.imag), real_products(x, w), strict=False):
            exact, size = np.sum(a * b), np.sum(np.abs(a * b))
            bound = (a.size + 2) * Fraction(float(np.finfo(sums_in).eps)) * size + Fraction(stored_in) * abs(exact)
            assert abs(Fraction(*part.as_integer_ratio()) - exact) <= bound


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", [np.dtype(np.float16), BFLOAT16], ids=str)
def test_short_floats_accumulate_in_float32(dtype: np.dtype[Any], algorithm: str) -> None:
    """4096 ones sum to 4096, where a 16-bit sum would stop at 2048 or 256; and a partial sum may leave the range."""
    ones = np.ones(4096, dtype)
    np.testing.assert_array_equal(conv_by(algorithm, ones, ones[None, None]), [4096])
    x, w = np.full(2, 256, np.float16), np.array([[[256, -256]]], np.float16)
    np.testing.assert_array_equal(conv_by(algorithm, x, w, [3]), [3])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", [d for d in FLOATS if d != BFLOAT16], ids=str)
def test_overflow_is_infinite_and_silent(dtype: np.dtype[Any], algorithm: str) -> None:
    """A sum beyond the range is infinite, without a warning, whichever algorithm computes it."""
    largest = np.finfo(dtype).max
    x, w = np.array([largest, largest], dtype), np.array([[[2, 2]]], dtype)
    assert np.isposinf(conv_by(algorithm, x, w)[0].real)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_patches_do_not_leak(bad: float, mode: Any, algorithm: str) -> None:
    """A pixel that is no number reaches the outputs whose window covers it, and no other."""
    x, w = numbers((2, 2, 6, 5), np.dtype(float), 0), np.abs(numbers((3, 2, 2, 3), np.dtype(float), 1)) + 1
    pixel = (1, 1, 3, 3)
    options: dict[str, Any] = {"padding": (1, 2), "stride": (2, 1), "dilation": (2, 1), "padding_mode": mode}
    window = Window((6, 5), (2, 3), (2, 1), ((1, 1), (2, 2)), (2, 1))
    only = np.zeros_like(x)
    only[pixel] = 1
    covers = layer(only, w, window, "NCHW", mode=mode) != 0
    assert 0 < np.count_nonzero(covers) < covers.size
    clean = conv_by(algorithm, x, w, **options)
    x[pixel] = bad
    result = conv_by(algorithm, x, w, workspace_limit=1000, **options)
    np.testing.assert_array_equal(np.isfinite(result), ~covers)
    np.testing.assert_array_equal(result[~covers], clean[~covers])


# The same bits.


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut matrices into many blocks, which many threads can share, without large images."""
    monkeypatch.setattr(explicit, "_BLOCK_BYTES", 9000)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("algorithm", "x_shape", "w_shape"),
    [("reference", (2, 2, 5, 5), (2, 2, 3, 3)), ("explicit", (3, 4, 19, 23), (6, 2, 3, 3))],
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "float16", "longdouble", "int64"])
def test_threads_do_not_change_a_bit(
    algorithm: str, x_shape: tuple[int, ...], w_shape: tuple[int, ...], dtype: str
) -> None:
    """Any number of threads gives the same bits, in one block at a time or in many."""
    rng = np.random.default_rng(0)
    x, w = ((100 * rng.standard_normal(shape)).astype(dtype) for shape in (x_shape, w_shape))
    options: dict[str, Any] = {"padding": 1, "groups": x_shape[1] // w_shape[1], "algorithm": algorithm}
    for limit in (64 << 20, 20_000):
        results = [bits(conv(x, w, workspace_limit=limit, threads=t, **options)) for t in (1, 2, 3, 7)]
        assert len(set(results)) == 1


def test_blas_threads_do_not_change_a_bit() -> None:
    """A product large enough for BLAS to share among threads of its own has the same bits for any of ours."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 64, 40, 40), np.float32), rng.standard_normal((96, 64, 3, 3), np.float32)
    results = [conv(x, w, algorithm="explicit", threads=threads).tobytes() for threads in (1, 2, 3, 7)]
    assert len(set(results)) == 1


@pytest.mark.parametrize("algorithm", ["reference", "explicit"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("groups", [1, 2])
def test_the_batch_does_not_change_a_bit(algorithm: str, dtype: str, groups: int) -> None:
    """An image has the same bits alone, and in a batch, whether BLAS gets its matrix alone or in a stack."""
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape).astype(dtype) for shape in ((3, 2 * groups, 6, 7), (8, 2, 3, 3)))
    options: dict[str, Any] = {"algorithm": algorithm, "groups": groups, "padding": 1}
    alone = b"".join(conv(image[None], w, **options).tobytes() for image in x)
    assert conv(x, w, **options).tobytes() == alone


@pytest.mark.parametrize("limit", [None, 9_000, 2_000, 300])
@pytest.mark.parametrize("padding", [0, 1])
def test_stacks_of_images_and_groups(limit: int | None, padding: int) -> None:
    """However many images and groups a block holds, or parts of one, each image meets its own group's filters."""
    rng = np.random.default_rng(0)
    x, w, bias = (rng.integers(-9, 9, shape) for shape in ((5, 6, 4, 5), (9, 2, 2, 3), (9,)))
    expected = conv(x, w, bias, groups=3, padding=padding, algorithm="reference")
    options: dict[str, Any] = {"groups": 3, "padding": padding, "algorithm": "explicit", "threads": 2}
    if limit:
        options["workspace_limit"] = limit
    np.testing.assert_array_equal(conv(x, w, bias, **options), expected)


# Blocks and memory.


@pytest.mark.parametrize(
    ("shape", "most", "steps"),
    [
        ((3, 4), 100, (3, 4)),
        ((3, 4), 12, (3, 4)),
        ((3, 4), 11, (2, 4)),
        ((3, 4), 4, (1, 4)),
        ((3, 4), 3, (1, 3)),
        ((3, 4), 1, (1, 1)),
        ((2, 3, 4), 13, (1, 3, 4)),
        ((2, 3, 4), 8, (1, 2, 4)),
        ((5, 3, 4), 2, (1, 1, 2)),
        ((5, 1, 4), 9, (2, 1, 4)),
        ((7,), 3, (3,)),
    ],
)
def test_boxes(shape: tuple[int, ...], most: int, steps: tuple[int, ...]) -> None:
    """Boxes are row-major runs: whole inner axes, a part of one, single slices of those outside it."""
    assert box_steps(shape, most) == steps


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("limit", [200, 1000, 5000, 20_000, 1 << 20])
def test_blocks_stay_below_the_limit(limit: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No part of the column matrix is larger than the limit, and together they are the whole matrix."""
    lock, copied, sizes = threading.Lock(), gather.copy, list[int]()

    def copy(dst: Array, src: Array, *rest: Any, **options: Any) -> Any:
        with lock:
            sizes.append(dst.nbytes)
        return copied(dst, src, *rest, **options)

    monkeypatch.setattr(gather, "copy", copy)
    x, w = numbers((2, 2, 11, 13), np.dtype(np.float32), 0), numbers((3, 2, 3, 3), np.dtype(np.float32), 1)
    result = conv(x, w, algorithm="explicit", workspace_limit=limit, threads=threads)
    np.testing.assert_array_equal(result, conv(x, w, algorithm="reference"))
    assert max(sizes) <= limit
    assert sum(sizes) == 4 * (2 * 9 * 11) * 18


LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], str, dict[str, Any]]] = {
    "plain": ((1, 8, 128, 128), (16, 8, 3, 3), "float32", {}),
    "many maps": ((1, 1, 256, 256), (64, 1, 1, 1), "float32", {}),
    "16-bit integers": ((1, 1, 256, 256), (64, 1, 1, 1), "int16", {}),
    "8-bit integers": ((1, 1, 256, 256), (64, 1, 1, 1), "int8", {}),
    "float16": ((1, 1, 256, 256), (64, 1, 1, 1), "float16", {}),
    "relu": ((1, 1, 256, 256), (64, 1, 1, 1), "float32", {"activation": "relu"}),
    "relu6 of integers": ((1, 1, 256, 256), (64, 1, 1, 1), "int16", {"activation": "relu6"}),
    "hardswish": ((1, 1, 256, 256), (64, 1, 1, 1), "float16", {"activation": "hardswish"}),
    "silu": ((1, 1, 256, 256), (64, 1, 1, 1), "float32", {"activation": "silu"}),
    "leaky_relu": ((1, 1, 256, 256), (64, 1, 1, 1), "float64", {"activation": ("leaky_relu", 0.1)}),
    "padded": ((1, 8, 200, 200), (2, 8, 3, 3), "float32", {"padding": 1}),
    "padded batch": ((3, 8, 400, 400), (2, 8, 1, 1), "float32", {"padding": 1}),
    "padded batch, edge": ((3, 8, 200, 200), (2, 8, 3, 3), "float32", {"padding": 1, "padding_mode": "edge"}),
    "padded far": ((1, 8, 200, 200), (2, 8, 1, 1), "float32", {"padding": 300, "padding_mode": "reflect"}),
    "padded, foreign bytes": ((1, 8, 400, 400), (2, 8, 1, 1), ">f4", {"padding": 1}),
    "small blocks": ((2, 8, 64, 64), (4, 8, 3, 3), "float32", {"workspace_limit": 200_000}),
    "two threads": ((2, 8, 128, 128), (16, 8, 3, 3), "float32", {"padding": 1, "threads": 2}),
}


@pytest.mark.parametrize("name", LAYERS)
def test_explicit_keeps_its_word_on_memory(name: str) -> None:
    """A call allocates no more than the plan's workspace_bytes and 128 KiB, whatever comes after the product."""
    x_shape, w_shape, dtype, options = LAYERS[name]
    x, w = numbers(x_shape, np.dtype(dtype), 0), numbers(w_shape, np.dtype(dtype), 1)
    prepared = plan(x_shape, w, algorithm="explicit", **{"threads": 1} | options)
    out = prepared(x)
    assert peak_of(lambda: prepared(x, out)) <= prepared.workspace_bytes + (128 << 10)


# Threads, forks and processes.


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(("threads", "limit", "at_once"), [(3, 64 << 20, 3), (7, 20_000, 2), (7, 10_000, 1)])
def test_no_more_threads_than_asked_for(
    threads: int, limit: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most `threads` blocks are made at once, and no more than fit the workspace limit together."""
    lock, copied, running, most = threading.Lock(), gather.copy, 0, 0
    met = threading.Event()

    def copy(dst: Array, src: Array, *rest: Any, **options: Any) -> Any:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if most >= min(2, at_once):
                met.set()
        assert met.wait(HANG_SECONDS)
        time.sleep(0.01)
        copied(dst, src, *rest, **options)
        with lock:
            running -= 1

    monkeypatch.setattr(gather, "copy", copy)
    x, w = numbers((1, 2, 21, 21), np.dtype(float), 0), numbers((2, 2, 3, 3), np.dtype(float), 1)
    prepared = plan(x.shape, w, algorithm="explicit", threads=threads, workspace_limit=limit)
    result = prepared(x)
    assert min(2, at_once) <= most <= at_once
    np.testing.assert_array_equal(result, conv(x, w, algorithm="reference"))


@pytest.mark.usefixtures("small_blocks")
def test_calls_from_many_threads() -> None:
    """Calls that overlap, each with threads of its own, give right answers."""
    x, w = numbers((2, 3, 16, 16), np.dtype(float), 0), numbers((4, 3, 3, 3), np.dtype(float), 1)
    expected = conv(x, w, padding=1, algorithm="reference")

    def call(i: int) -> Array:
        return conv(x + i, w, padding=1, padding_value=i, algorithm="explicit", threads=1 + i % 4)

    with ThreadPoolExecutor(8) as pool:
        for i, result in enumerate(pool.map(call, range(40))):
            np.testing.assert_array_equal(result, expected + i * w.sum((1, 2, 3))[:, None, None])


PROCESSES = """
import multiprocessing, os, sys, threading
import numpy as np
from im2col import conv
from im2col.algorithms import explicit

explicit._BLOCK_BYTES = 9000  # many blocks, which many threads share

x, w = np.arange(2 * 3 * 20 * 20.0).reshape(2, 3, 20, 20), np.arange(4 * 3 * 9.0).reshape(4, 3, 3, 3)
expected = np.einsum("ncijyx,fcyx->nfij", np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3)), w)

def right(threads):
    result = conv(x, w, algorithm="explicit", threads=threads)
    return bool((result == expected).all())

def forks():
    child = os.fork()
    if child == 0:
        answer, names = right(3), {thread.name for thread in threading.enumerate()}
        helped = any(name.startswith("im2col_") for name in names)
        os._exit(0 if answer and helped and right(1) and right(5) else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

if __name__ == "__main__":
    assert right(4)  # the pool is warm before the fork
    if sys.argv[1] == "fork":
        assert [forks() for _ in range(5)] == [0] * 5
    else:
        with multiprocessing.get_context(sys.argv[1].removeprefix("pool-")).Pool(2) as pool:
            assert pool.map(right, [1, 2, 3, 4]) == [True] * 4
    assert right(4)
"""


@pytest.mark.parametrize("how", ["fork", "pool-fork", "pool-spawn"])
def test_processes(how: str, tmp_path: Path) -> None:
    """After a fork, which has threads of its own, and in multiprocessing, the answers are right and nothing hangs."""
    if "fork" in how and not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    script = tmp_path / "script.py"
    script.write_text(PROCESSES)
    subprocess.run([sys.executable, str(script), how], check=True, timeout=HANG_SECONDS)


# The registry.

NEW_ALGORITHM = '''
"""An algorithm that answers every question with zeros."""

from im2col.algorithms.contract import Offer


class Zeros:
    name = "zeros"
    rank = 99
    def best_rank(self, problem):
        return self.rank

    def compiles(self, problem):
        return False

    def offer(self, problem, target, threads):
        return Offer(self.rank, "zeros are the fastest answer", 12345, self.prepare)

    def prepare(self, w, bias, scales=None):
        def run(x, out):
            out[...] = 0

        return run


ALGORITHM = Zeros()
'''


def forget_algorithms() -> None:
    """Let the folder of algorithms be read again, and algorithms be asked again."""
    registry.cache_clear()
    forget_choices()


@pytest.fixture
def zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Add one file to the folder of algorithms, and return what it defines."""
    (tmp_path / "zeros.py").write_text(NEW_ALGORITHM)
    (tmp_path / "helper.py").write_text('"""A module without an algorithm."""\n')
    monkeypatch.setattr(im2col.algorithms, "__path__", [*im2col.algorithms.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    forget_algorithms()
    yield registry()["zeros"]
    forget_algorithms()
    for name in ("zeros", "helper"):
        sys.modules.pop(f"im2col.algorithms.{name}", None)
        if hasattr(im2col.algorithms, name):
            delattr(im2col.algorithms, name)


def test_the_registry_is_what_the_folder_holds() -> None:
    """Every file or folder with an ALGORITHM is there, in alphabetical order; nothing can be put in by hand."""
    folder = Path(im2col.algorithms.__file__).parent
    modules = [*folder.glob("*.py"), *(path.parent for path in folder.glob("*/__init__.py"))]
    sources = {path.stem: (path / "__init__.py" if path.is_dir() else path).read_text() for path in modules}
    found = sorted(name for name, source in sources.items() if "\nALGORITHM = " in source)
    assert tuple(registry()) == tuple(found)
    assert {"explicit", "implicit", "reference"} <= set(found)
    assert all(name == algorithm.name for name, algorithm in registry().items())
    with pytest.raises(TypeError):
        registry()["mine"] = registry()["explicit"]  # type: ignore[index]


def test_a_new_file_is_a_new_algorithm(zeros: Any) -> None:
    """It is found, chosen by its rank, can be asked for by name, and shows in the plan."""
    assert "zeros" in registry()
    assert "helper" not in registry()
    prepared = plan((1, 5, 5), np.ones((1, 1, 3, 3)))
    assert prepared.algorithm == "zeros"
    assert prepared.workspace_bytes == 12345
    np.testing.assert_array_equal(prepared(np.ones((1, 5, 5))), np.zeros((1, 3, 3)))
    assert str(prepared).splitlines()[-1] == "  → zeros      zeros are the fastest answer"
    by_name = plan((1, 5, 5), np.ones((1, 1, 3, 3)), algorithm="explicit")
    assert str(by_name).splitlines()[-1] == "    zeros      zeros are the fastest answer"
    zeros.__class__.rank = 5
    forget_choices()
    assert plan((1, 5, 5), np.ones((1, 1, 3, 3))).algorithm == "implicit"


def test_an_algorithm_that_cannot_is_never_chosen(zeros: Any) -> None:
    """Rank 0 means that it cannot: asked for by name it says why, and the plan says so."""
    zeros.__class__.rank = 0
    prepared = plan((1, 5, 5), np.ones((1, 1, 3, 3)))
    assert prepared.algorithm == "implicit"
    assert str(prepared).splitlines()[-1] == "    zeros      cannot: zeros are the fastest answer"
    message = "conv2d: algorithm 'zeros' cannot solve this: zeros are the fastest answer; use algorithm='auto'"
    with raises_exactly(ArgumentError, message):
        conv2d(np.ones((5, 5)), np.ones((3, 3)), algorithm="zeros")


def test_auto_never_takes_the_reference() -> None:
    """Where one row of the matrix exceeds the limit, "auto" says so; plain loops run for those who name them."""
    message = (
        "plan: no algorithm suits this (explicit: cannot: one position of the column matrix with its sums takes 160 B, "
        "more than workspace_limit=159; fft: cannot: tiles are made of float32 or float64 alone, as image, weights and "
        "result; implicit: cannot: the engine has no kernel for sums of complex128; reference: plain loops over 81 "
        "products: the definition, never fast; separable: cannot: passes sum float32 or float64 alone, as image, "
        "weights and result; winograd: cannot: tiles are made of float32 or float64 alone, as image, weights and "
        "result); raise workspace_limit, or name an algorithm"
    )
    w = np.ones((1, 1, 3, 3), complex)
    with raises_exactly(ArgumentError, message):
        plan((1, 5, 5), w, workspace_limit=159)
    prepared = plan((1, 5, 5), w, workspace_limit=159, algorithm="reference")
    np.testing.assert_array_equal(prepared(np.ones((1, 5, 5), complex)), np.full((1, 3, 3), 9))


def test_auto_takes_what_needs_no_matrix_where_the_matrix_may_not_be() -> None:
    """The limit is on blocks of the column matrix: the view has none."""
    prepared = plan((1, 5, 5), np.ones((1, 1, 3, 3)), workspace_limit=1)
    assert prepared.algorithm == "implicit"
    np.testing.assert_array_equal(prepared(np.ones((1, 5, 5))), np.full((1, 3, 3), 9.0))


def test_reference_counts_its_python_numbers() -> None:
    """The reference's workspace: a pointer and a number a pixel and a weight, and the sums; for images of any size."""
    small = plan((2, 3, 5, 4), np.ones((6, 3, 2, 2)), algorithm="reference")
    assert small.workspace_bytes == 40 * (2 * 3 * 5 * 4 + 6 * 3 * 2 * 2) + 8 * 2 * 6 * 4 * 3
    side, f4 = 1 << 32, np.dtype(np.float32)
    huge = make_problem((1, 1, side, side), (1, 1, 1, 1), f4, f4)
    assert registry()["reference"].offer(huge, None, 1).workspace_bytes == 40 * (side**2 + 1) + 4 * side**2
