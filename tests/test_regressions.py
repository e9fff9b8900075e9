"""Faults that a review found once: each with the call that showed it."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest

from im2col import (
    ArgumentError,
    DTypeError,
    LayoutError,
    MemoryBudgetError,
    col2im,
    conv,
    conv2d,
    cost,
    im2col,
    overlap_count,
    plan,
    weight_matrix,
)
from im2col.engine import host

from .kit.outcomes import raises_exactly, require
from .kit.processes import HANG_SECONDS


def test_plans_of_swapped_bytes_are_told_apart() -> None:
    """Weights with the same bytes and other values make other plans; a plan survives pickling."""
    ones = plan((1, 4), np.full((1, 1, 1), 1, ">i2"), x_dtype="i2")
    others = plan((1, 4), np.full((1, 1, 1), 256, "<i2"), x_dtype="i2")
    assert ones != others
    assert pickle.loads(pickle.dumps(ones)) == ones  # noqa: S301 (its own pickle)


def test_tables_of_volumes_stay_small() -> None:
    """The way back from a volume of one long plane takes less than 2 MB beyond the image."""
    x = np.ones((1, 1, 2, 512, 512, 2), np.float32)
    columns = im2col(x, (1, 3, 3, 1))
    out = np.empty_like(x)
    col2im(columns, x.shape, (1, 3, 3, 1), out=out, threads=1)
    tracemalloc.start()
    try:
        col2im(columns, x.shape, (1, 3, 3, 1), out=out, threads=1)
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(out[0, 0, 0, :, :, 0], overlap_count(x.shape, (1, 3, 3, 1))[0, :, :, 0])


@pytest.mark.parametrize("call", ["conv2d(x, w, threads=2)", "im2col(big, 3, threads=2)"])
def test_calls_at_exit_still_work(call: str) -> None:
    """Where Python starts no more threads, the calling one does the work."""
    program = (
        "import atexit, numpy as np\nfrom im2col import conv2d, im2col\n"
        "x, w, big = np.ones((1, 3, 64, 64)), np.ones((4, 3, 3, 3)), np.ones((1, 16, 128, 128))\n"
        f"atexit.register(lambda: print(({call}).sum() > 0))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("True", "")


def test_a_layout_is_a_string() -> None:
    """A list of letters is refused with what a layout is."""
    message = (
        "im2col: layout must be distinct capital letters, N for the batch, C for the channels and at least one spatial "
        "axis, such as 'NCHW' or 'HW'; got ['C', 'H', 'W']"
    )
    with raises_exactly(LayoutError, message):
        im2col(np.ones((1, 4, 4)), 3, layout=["C", "H", "W"])  # type: ignore[arg-type]


def test_padding_with_a_large_integer() -> None:
    """An integer beyond 64 bits is a value of a float image."""
    assert im2col(np.ones((2, 2)), 2, padding=1, padding_value=2**70).max() == 2.0**70


def test_small_integers_of_other_packages_are_refused_by_name() -> None:
    """int4 is no half-precision float."""
    ml_dtypes = require("ml_dtypes")
    w = np.ones((1, 1, 3, 3), ml_dtypes.int4)
    message = (
        "conv2d: w has dtype int4, which is copied but not calculated with; convert it first, as in w.astype(np.int8)"
    )
    with raises_exactly(DTypeError, message):
        conv2d(np.ones((1, 1, 5, 5), np.int8), w)


def test_errors_come_before_the_weights_are_arranged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace that would not fit is refused before a byte of it is allocated."""
    monkeypatch.setattr(host, "available_memory", lambda: 1 << 20)
    x = np.broadcast_to(np.float32(1), (1, 2048, 64, 64))
    w = np.broadcast_to(np.float32(1), (256, 2048, 3, 3))
    tracemalloc.start()
    try:
        with pytest.raises(MemoryBudgetError, match=r"\Aconv2d: .* are available; "):
            conv2d(x, w)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_large_results_are_refused_in_our_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A grouped weight matrix and the counts of an image with wide padding have a budget too."""
    monkeypatch.setattr(host, "available_memory", lambda: 64 << 20)
    message = (
        "weight_matrix: the matrix of 10000 filters would take 6.7 GiB but 64.0 MiB are available; multiply group "
    )
    with raises_exactly(MemoryBudgetError, message + "by group, as conv does"):
        weight_matrix(np.ones((10_000, 1, 3, 3)), groups=10_000)
    with pytest.raises(MemoryBudgetError, match=r"\Aoverlap_count: the counts along the padded axes .* less padding\Z"):
        overlap_count((4, 4), 3, padding=2**33)


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        ({"w_shape": (1, 1, 3, 3)}, ArgumentError, "cost: layer 1 must name its x_shape and w_shape, got "),
        (
            {"x_shape": (1, 5, 5), "w_shape": (1, 1, 3, 3), "strides": 2},
            ArgumentError,
            "cost: layer 1 has 'strides', which is no argument of cost; leave it out",
        ),
    ],
)
def test_layers_of_a_list_are_checked(layer: dict[str, Any], error: type[Exception], message: str) -> None:
    """What is missing or unknown in one of several layers is said in the name of cost."""
    good = {"x_shape": (1, 5, 5), "w_shape": (1, 1, 3, 3), "name": 3}
    assert "3" in str(cost([good]))
    with pytest.raises(error) as caught:
        cost([good, layer])
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_one_column_of_bytes_is_copied_with_all_of_its_channels(dtype: str) -> None:
    """The third call of a kind, one call of the engine, turned one channel of groups whose rows are single pixels."""
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 99, (1, 8, 27)).astype(dtype)
    w = rng.standard_normal((8, 2, 1)).astype(np.float32)
    for first in range(4):
        x = wide[..., first : first + 1]
        np.testing.assert_allclose(conv(x, w, groups=4), conv(x, w, groups=4, algorithm="reference"), rtol=1e-5)
