"""Every dtype of NumPy and ml_dtypes with every public function, and the table of them in the documentation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest

import im2col
from im2col import DTypeError

from . import dtypes
from .kit.calls import PUBLIC
from .kit.nasty import registered_dtypes
from .kit.outcomes import missing, raises_exactly, require

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_NUMBERS = {
    "clear_cache",
    "output_shape",
    "overlap_count",
    "plan_blocks",
    "set_threads",
    "show_config",
    "window_geometry",
}
"""Public functions that see none, or those of `convolve_blocks`."""
FLOATS = [d for d in registered_dtypes() if "float" in d.name and d.name != "float8_e8m0fnu"]
INTEGERS = [d for d in registered_dtypes() if "int" in d.name]


def test_the_table_is_what_the_functions_do() -> None:
    """Nothing but a result or a `DTypeError` comes out; the page says which."""
    require("scipy")
    if {f"| {dtypes.name_of(each)} |" for each in registered_dtypes()} != set(
        re.findall(r"^\| (?:b?complex32|b?float\d.*?|bfloat16|u?int[124]) \|", dtypes.recorded(), re.MULTILINE)
    ) - {"| float16 |", "| float32 |", "| float64 |"}:
        missing("the page is of a release of ml_dtypes with other dtypes")
    assert dtypes.recorded() == dtypes.table(), "python -m tests.dtypes writes it anew"


def test_the_table_has_every_function() -> None:
    """A new public function is missed here."""
    assert {name.partition(",")[0] for name in dtypes.FUNCTIONS} == set(PUBLIC) - NO_NUMBERS


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_small_floats_are_summed_in_float32(dtype: np.dtype[Any]) -> None:
    """Each result is that of float32, rounded once; every algorithm and the plan agree."""
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-2, 3, shape).astype(dtype) for shape in ((1, 2, 5, 5), (3, 2, 2, 2)))
    wide = im2col.conv(x.astype(np.float32), w.astype(np.float32), padding=1)
    for algorithm in ("auto", "explicit", "reference"):
        y = im2col.conv(x, w, padding=1, algorithm=algorithm)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y.view(np.uint8), wide.astype(dtype).view(np.uint8))
    np.testing.assert_array_equal(im2col.plan(x.shape, w, padding=1)(x).view(np.uint8), y.view(np.uint8))
    columns = im2col.im2col(x, 2)
    sums = im2col.col2im(columns.astype(np.float32), x.shape, 2)
    np.testing.assert_array_equal(im2col.col2im(columns, x.shape, 2).view(np.uint8), sums.astype(dtype).view(np.uint8))


@pytest.mark.parametrize("dtype", registered_dtypes(), ids=str)
@pytest.mark.parametrize("orientation", ["rows", "columns"])
def test_copies_of_every_registered_dtype(dtype: np.dtype[Any], orientation: Any) -> None:
    """As the same bits of an integer dtype are copied, which shares nothing with how the dtype is known."""
    bits = np.random.default_rng(0).integers(0, 2, (2, 5, 6)).astype(np.dtype(f"u{dtype.itemsize}"))
    x: NDArray[Any] = bits.view(dtype)
    for function in (im2col.im2col, im2col.patches):
        got = function(x, 3, stride=2, dilation=(2, 1), orientation=orientation)
        assert got.dtype == dtype
        wanted = function(bits, 3, stride=2, dilation=(2, 1), orientation=orientation)
        np.testing.assert_array_equal(got.view(bits.dtype), wanted)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_small_integers_grow(dtype: np.dtype[Any]) -> None:
    """Sums of one to four bits are those of eight; means are the pixels again."""
    columns = np.ones((9, 4)).astype(dtype)
    sums = im2col.col2im(columns, (4, 4), 2)
    wide = im2col.col2im(columns.astype(np.int8 if dtype.name[0] == "i" else np.uint8), (4, 4), 2)
    assert sums.dtype == wide.dtype
    np.testing.assert_array_equal(sums, wide)
    means = im2col.col2im(columns, (4, 4), 2, reduce="mean")
    assert means.dtype == dtype
    assert (means.astype(int) == columns.astype(int)[0, 0]).all()
    out = np.empty((4, 4), dtype)
    assert im2col.col2im(columns, (4, 4), 2, reduce="mean", out=out) is out


@pytest.mark.parametrize(
    ("dtype", "value", "said"),
    [
        (ml_dtypes.int4, 9, "9"),
        (ml_dtypes.int4, 0.5, "0.5"),
        (ml_dtypes.uint2, -1, "-1"),
        (ml_dtypes.float8_e8m0fnu, 0, "0"),
        (ml_dtypes.float4_e2m1fn, 100, "100"),
        (ml_dtypes.float8_e4m3fn, 1e6, "1000000.0"),
    ],
)
def test_padding_is_a_value_of_the_dtype(dtype: Any, value: Any, said: str) -> None:
    """Nothing wraps, saturates or becomes another number."""
    name = np.dtype(dtype).name
    with raises_exactly(DTypeError, f"im2col: padding_value {said} is not a value of the image's dtype {name}"):
        im2col.im2col(np.ones((3, 3)).astype(dtype), 2, padding=1, padding_value=value)


def test_what_is_only_copied_says_so() -> None:
    """In the same words from every function, with a dtype that works."""
    for dtype, other in ((ml_dtypes.int4, "int8"), (ml_dtypes.uint2, "uint8"), (ml_dtypes.float8_e8m0fnu, "float32")):
        x = np.ones((3, 3)).astype(dtype)
        message = (
            f"x has dtype {np.dtype(dtype)}, which is copied but not calculated with; convert it first, as in x.astype"
        )
        with raises_exactly(DTypeError, f"conv2d: {message}(np.{other})"):
            im2col.conv2d(x, x)
        converted = x.astype(getattr(np, other))
        assert im2col.conv2d(converted, converted).shape == (1, 1)
