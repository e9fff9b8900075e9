"""`conv_matrix` and `conv_operator` against dense matrices made by plain loops, and what solvers need of them."""

from __future__ import annotations

import doctest
import math
import pickle
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal, sparse
from scipy.sparse import linalg

from im2col import (
    ArgumentError,
    DTypeError,
    GeometryError,
    LayoutError,
    MemoryBudgetError,
    MissingExtraError,
    ShapeError,
    conv,
    conv_matrix,
    conv_operator,
)
from im2col.engine import host

from .kit.budget import allocation
from .kit.oracles import Window, source
from .kit.outcomes import raises_exactly, require
from .kit.processes import HANG_SECONDS
from .kit.strategies import (
    BFLOAT16,
    DTYPES,
    PADDING_MODES,
    PADDING_NAMES,
    layouts,
    numbers,
    seeds,
    spatial_ndims,
    spelled,
    spelled_padding,
    windows,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = NDArray[Any]
INT64, FLOAT32, FLOAT64 = np.dtype(np.int64), np.dtype(np.float32), np.dtype(np.float64)
COMPLEX64, COMPLEX128 = np.dtype(np.complex64), np.dtype(np.complex128)
DOCUMENTS = Path(__file__).parents[1] / "docs"


@dataclass(frozen=True)
class Layer:
    """A call of `conv_matrix` as a user writes it, and the same for the oracle."""

    w: Array
    shape: tuple[int, ...]
    layout: str
    window: Window
    arguments: dict[str, Any]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the result."""
        sizes = dict(zip(self._spatial, self.window.output_shape, strict=True)) | {"C": len(self.w)}
        return tuple(sizes[axis] for axis in self.layout)

    @property
    def _spatial(self) -> list[str]:
        return [axis for axis in self.layout if axis != "C"]

    def dense(self) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
        """Return the matrix as Python numbers, and which of its entries some tap reaches: the definition, in loops."""
        matrix = np.zeros((math.prod(self.output_shape), math.prod(self.shape)), object)
        reached = np.zeros(matrix.shape, bool)
        stops, groups = self.window.stops, self.arguments["groups"]
        weights = self.w.astype(np.float32) if self.w.dtype == BFLOAT16 else self.w
        for row, index in enumerate(np.ndindex(*self.output_shape)):
            at = dict(zip(self.layout, index, strict=True))
            f = at.get("C", 0)
            for c, *tap in np.ndindex(*self.w.shape[1:]):
                pixel: dict[str, int | None] = {"C": f // (len(self.w) // groups) * self.w.shape[1] + c}
                for axis, steps, n, t in zip(self._spatial, stops, self.window.spatial_shape, tap, strict=True):
                    pixel[axis] = source(steps[at[axis]][t], n, self.arguments["padding_mode"])
                where = tuple(pixel[axis] for axis in self.layout)
                if None not in where:
                    if self.arguments["flip"]:
                        tap = [k - 1 - t for t, k in zip(tap, self.window.kernel_size, strict=True)]  # noqa: PLW2901
                    column = np.ravel_multi_index(where, self.shape)  # type: ignore[arg-type]  # there is no None
                    matrix[row, column] += weights[(f, c, *tap)].item()
                    reached[row, column] = True
        return matrix, reached


@st.composite
def layers(draw: st.DrawFn, dtype: st.SearchStrategy[np.dtype[Any]]) -> Layer:
    """Draw a layer over one image: any window, layout, mode and groups; sometimes no channels or no filters."""
    k = draw(spatial_ndims())
    name = draw(st.sampled_from([None, None, *PADDING_NAMES]))
    window = draw(windows(k, name))
    layout = draw(layouts(k)).replace("N", "")
    groups = draw(st.sampled_from([1, 1, 2, 3])) if "C" in layout else 1
    channels = draw(st.integers(0, 2)) if "C" in layout else 1
    filters = groups * draw(st.integers(0, 2)) if "C" in layout else 1
    w = numbers((filters, channels, *window.kernel_size), draw(dtype), draw(seeds()))
    sizes = dict(zip((a for a in layout if a != "C"), window.spatial_shape, strict=True)) | {"C": channels * groups}
    arguments = {
        "stride": draw(spelled(window.stride)),
        "dilation": draw(spelled(window.dilation)),
        "padding": draw(spelled_padding(window.padding)) if name is None else name,
        "padding_mode": draw(st.sampled_from(PADDING_MODES)),
        "groups": groups,
        "layout": layout,
        "flip": draw(st.booleans()),
    }
    return Layer(w, tuple(sizes[a] for a in layout), layout, window, arguments)


def entries(matrix: Any) -> Iterator[tuple[int, int, Any]]:
    """Yield the row, the column and the value of each stored entry of a CSR array, by its definition."""
    for row in range(matrix.shape[0]):
        for i in range(matrix.indptr[row], matrix.indptr[row + 1]):
            yield row, int(matrix.indices[i]), matrix.data[i].item()


def pairs(layer: Layer, x: np.dtype[Any], y: np.dtype[Any], columns: int) -> tuple[Array, Array]:
    """Return matrices of `columns` images, and of as many results."""
    sizes = (math.prod(layer.shape), math.prod(layer.output_shape))
    return numbers((sizes[0], columns), x, 1), numbers((sizes[1], columns), y, 2)


@given(layers(st.sampled_from(DTYPES)), st.sampled_from([1, 30, 1 << 16]))
def test_the_matrix_is_the_definition(layer: Layer, block: int) -> None:
    """Every pixel that a tap reaches, once, in order, with the sum of its weights; made in blocks of any size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("im2col.layers.sparse_matrix._BLOCK", block)
        matrix = conv_matrix(layer.w, layer.shape, **layer.arguments)
        triplets = conv_matrix(layer.w, layer.shape, format="coo", **layer.arguments)
    dense, reached = layer.dense()
    expected = [(int(row), int(column), dense[row, column]) for row, column in np.argwhere(reached)]
    assert isinstance(matrix, sparse.csr_array)
    assert matrix.shape == dense.shape
    assert list(entries(matrix)) == expected
    assert isinstance(triplets, sparse.coo_array)
    assert triplets.shape == dense.shape
    found = (a.tolist() for a in (*triplets.coords, triplets.data))
    assert list(zip(*found, strict=True)) == expected
    assert {a.dtype for a in (matrix.indices, matrix.indptr, *triplets.coords)} == {np.dtype(np.int32)}
    kind, size = layer.w.dtype.kind, layer.w.dtype.itemsize
    half = layer.w.dtype in {np.dtype(np.float16), BFLOAT16}
    natural = FLOAT32 if half else np.dtype(np.int32) if kind in "biu" and size == 1 else layer.w.dtype
    assert matrix.dtype == triplets.dtype == natural


@given(layers(st.sampled_from([INT64, COMPLEX128])))
def test_matrix_and_operator_are_the_convolution_and_its_adjoint(layer: Layer) -> None:
    """A @ x is the convolution of x, Aᴴ @ y its adjoint: exactly, for vectors, columns and rows of any count."""
    matrix = conv_matrix(layer.w, layer.shape, **layer.arguments)
    operator = conv_operator(layer.w, layer.shape, dtype=layer.w.dtype, **layer.arguments)
    assert operator.shape == matrix.shape
    assert operator.dtype == layer.w.dtype
    dense = layer.dense()[0].astype(layer.w.dtype)
    for count in (0, 1, 3):
        x, y = pairs(layer, layer.w.dtype, layer.w.dtype, count)
        for forward in (operator @ x, operator.matmat(np.asfortranarray(x)), matrix @ x):
            np.testing.assert_array_equal(forward, dense @ x, strict=True)
        for backward in (operator.H @ y, operator.rmatmat(np.asfortranarray(y)), matrix.conj().T @ y):
            np.testing.assert_array_equal(backward, dense.conj().T @ y, strict=True)
        np.testing.assert_array_equal(operator.T @ y, matrix.T @ y, strict=True)
    image = x[:, 0].reshape(layer.shape)
    expected = conv(image, layer.w, **layer.arguments)
    assert expected.shape == layer.output_shape
    for vector in (operator @ x[:, 0], operator.matvec(x[:, 0]), matrix @ x[:, 0], (operator @ x[:, :1])[:, 0]):
        np.testing.assert_array_equal(vector, expected.ravel(), strict=True)
    back = operator.rmatvec(y[:, 0])
    np.testing.assert_array_equal(back, matrix.conj().T @ y[:, 0], strict=True)
    assert np.vdot(y[:, 0], operator @ x[:, 0]) == np.vdot(back, x[:, 0])


@pytest.mark.parametrize(("mode", "padding"), [("valid", 0), ("full", "full"), ("same", "same")])
def test_scipy_correlates_and_convolves_alike(mode: str, padding: Any) -> None:
    """SciPy's correlation of a plain image, and with flipped kernels its convolution."""
    x, w = numbers((9, 8), INT64, 0), numbers((3, 5), INT64, 1)
    for flip, function in ((False, signal.correlate), (True, signal.convolve)):
        matrix = conv_matrix(w[None, None], x.shape, padding=padding, flip=flip)
        expected = function(x, w, mode, "direct")
        np.testing.assert_array_equal((matrix @ x.ravel()).reshape(expected.shape), expected)


def test_the_matrix_is_the_convolution_of_the_identity() -> None:
    """Its columns are the convolutions of the pixels, one by one."""
    w = numbers((4, 2, 3, 3), INT64, 0)
    options: dict[str, Any] = {"groups": 2, "stride": (2, 1), "padding": 1, "padding_mode": "reflect"}
    identity = np.eye(4 * 5 * 6, dtype=int).reshape(-1, 5, 6, 4)
    columns = conv(identity, w, layout="NHWC", **options).reshape(len(identity), -1)
    matrix = conv_matrix(w, (5, 6, 4), layout="HWC", **options)
    np.testing.assert_array_equal(matrix.toarray(), columns.T)


@pytest.mark.parametrize("mode", PADDING_MODES)
def test_the_matrix_is_canonical_as_scipy_finds(mode: Any) -> None:
    """SciPy, asked anew, finds it sorted and free of duplicates; and makes the same of the entries in any order."""
    w = numbers((4, 3, 3, 3), FLOAT64, 0)
    matrix = conv_matrix(w, (3, 6, 5), padding=2, padding_mode=mode)
    assert matrix.has_canonical_format
    assert sparse.csr_array((matrix.data, matrix.indices, matrix.indptr), matrix.shape).has_canonical_format
    triplets = conv_matrix(w, (3, 6, 5), padding=2, padding_mode=mode, format="coo")
    assert triplets.has_canonical_format
    order = np.random.default_rng(0).permutation(triplets.nnz)
    rows, columns = (a[order] for a in triplets.coords)
    again = sparse.coo_array((triplets.data[order], (rows, columns)), triplets.shape).tocsr()
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(matrix, name), getattr(again, name), strict=True)


@pytest.mark.parametrize("mode", ["constant", "edge"])
def test_the_structure_depends_on_the_geometry_alone(mode: Any) -> None:
    """Weights of zero, and weights that cancel, are stored; SciPy drops them on request."""
    zeros, ones = (conv_matrix(np.full((1, 1, 3), v), (5,), padding=1, padding_mode=mode) for v in (0, 1))
    np.testing.assert_array_equal(zeros.indptr, ones.indptr)
    np.testing.assert_array_equal(zeros.indices, ones.indices)
    assert zeros.nnz == 13
    zeros.eliminate_zeros()
    assert zeros.nnz == 0


def test_large_images_have_wide_indices() -> None:
    """Columns beyond 32 bits are counted in 64."""
    n = 1 << 17
    matrix = conv_matrix(np.array([[[[1, 2]]]]), (n, n), stride=(n // 2, n // 2))
    assert matrix.indices.dtype == np.int64
    corners = [0, n // 2, n * n // 2, n * n // 2 + n // 2]
    assert matrix.indices.tolist() == [column for corner in corners for column in (corner, corner + 1)]


@pytest.mark.parametrize(
    ("shape", "w_shape", "options"),
    [
        ((300, 300), (1, 1, 5, 5), {}),
        ((300, 300), (1, 1, 5, 5), {"padding": 2, "format": "coo"}),
        ((700, 700), (1, 1, 1, 1), {}),
        ((4, 300, 300), (4, 1, 1, 1), {"groups": 4, "format": "coo"}),
        ((1000,), (1, 1, 999), {"padding": "full", "padding_mode": "wrap"}),
        ((8, 40, 40), (8, 8, 3, 3), {"padding": 1, "padding_mode": "edge"}),
    ],
)
def test_the_memory_asked_for_is_enough(
    shape: tuple[int, ...], w_shape: tuple[int, ...], options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is allocated while a matrix is made stays below what was asked for, and above half of it."""
    asked: list[int] = []
    monkeypatch.setattr("im2col.layers.sparse_matrix.require_memory", lambda nbytes, *_: asked.append(nbytes))
    w = np.ones(w_shape)
    conv_matrix(np.ones((1, 1, 1)), (1,))  # what SciPy loads at the first call is not the matrix's
    asked.clear()
    tracemalloc.start()
    try:
        conv_matrix(w, shape, **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert asked[0] / 2 < peak <= asked[0]


def test_a_matrix_that_would_not_fit_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how large it would be; the operator, which makes no matrix, works on."""
    monkeypatch.setattr(host, "available_memory", lambda: 64 << 20)
    w = np.ones((1, 1, 5, 5))
    message = (
        "conv_matrix: the sparse matrix (262144, 262144) of 6522916 entries would take 85.7 MiB but 64.0 MiB are "
        "available; use conv_operator, which never makes it"
    )
    with raises_exactly(MemoryBudgetError, message):
        conv_matrix(w, (512, 512), padding=2)
    operator = conv_operator(w, (512, 512), padding=2)
    assert (operator @ np.ones(512 * 512)).max() == 25


def test_the_operator_makes_no_matrix() -> None:
    """Kernels of 31 × 31 on 256 × 256 pixels: half a gigabyte as a matrix."""
    require("llvmlite")  # NumPy's explicit way makes blocks of a column matrix
    operator = conv_operator(np.ones((1, 1, 31, 31)), (256, 256), padding=15)
    x = np.ones(256 * 256)
    assert (operator.H @ (operator @ x)).max() == 31**4
    assert allocation(lambda: operator.H @ (operator @ x)).peak < 4 << 20


@pytest.mark.parametrize(
    ("w", "dtype", "result"),
    [
        ("float64", None, "float64"),
        ("float32", None, "float32"),
        ("float16", None, "float32"),
        (BFLOAT16, None, "float32"),
        ("complex64", None, "complex64"),
        ("longdouble", None, "longdouble"),
        ("int64", None, "float64"),
        ("uint8", None, "float64"),
        ("bool", None, "float64"),
        (">f4", None, "float32"),
        ("float32", "float64", "float64"),
        ("float64", "float32", "float64"),
        ("float32", "complex64", "complex64"),
        ("float16", "float16", "float16"),
        ("int8", "uint8", "int32"),
        ("int16", "int32", "int32"),
        ("float64", "int8", "float64"),
        ("float64", ">f8", "float64"),
    ],
)
def test_the_dtype_is_that_of_the_result(w: Any, dtype: Any, result: str) -> None:
    """`LinearOperator.dtype` is the dtype of ``A @ x`` for x of the dtype asked for, of w's, or of float64."""
    kernel = numbers((1, 1, 2, 3), np.dtype(w), 0)
    operator = conv_operator(kernel, (4, 5), dtype=dtype)
    assert operator.dtype == np.dtype(result)
    x = numbers((20, 2), np.dtype(result if dtype is None else dtype), 1)
    y = numbers((operator.shape[0], 2), np.dtype(result), 2)
    dense = conv_matrix(kernel.astype(np.float64) if np.dtype(w).kind != "c" else kernel, (4, 5)).toarray()
    for columns, expected in ((x, dense @ x.astype(result)), (x[:, 0], dense @ x[:, 0].astype(result))):
        assert (operator @ columns).dtype == np.dtype(result)
        np.testing.assert_array_equal(operator @ columns, expected)
    for columns in (y, y[:, 0]):
        assert (operator.H @ columns).dtype == np.dtype(result)
        np.testing.assert_array_equal(operator.H @ columns, dense.conj().T @ columns)


def test_vectors_of_another_dtype_are_taken_as_by_a_matrix() -> None:
    """Lesser ones are converted, greater ones give a greater result: nothing is cut off."""
    w = numbers((1, 1, 3), FLOAT32, 0)
    operator, matrix = conv_operator(w, (6,)), conv_matrix(w, (6,))
    for dtype in map(np.dtype, ("?", "h", "e", "d", "F", "D")):
        x, y = numbers((6, 2), dtype, 1), numbers((4, 2), dtype, 2)
        result = np.result_type(dtype, FLOAT32)
        for forward in (operator @ x, (operator @ x[:, 0])[:, None]):
            assert forward.dtype == result
            np.testing.assert_array_equal(forward, (matrix @ x)[:, : forward.shape[1]])
        for backward in (operator.H @ y, (operator.H @ y[:, 0])[:, None]):
            assert backward.dtype == result
            np.testing.assert_array_equal(backward, (matrix.T @ y)[:, : backward.shape[1]])


@pytest.mark.parametrize("algorithm", ["auto", "explicit", "reference"])
def test_algorithm_and_threads_reach_both_ways(algorithm: str) -> None:
    """The operator computes with the algorithm named, and refuses an unknown one before it is used."""
    w, x, y = numbers((2, 1, 3, 3), INT64, 0), numbers((36,), INT64, 1), numbers((32,), INT64, 2)
    operator = conv_operator(w, (1, 6, 6), dtype=int, algorithm=algorithm, threads=1)
    matrix = conv_matrix(w, (1, 6, 6))
    np.testing.assert_array_equal(operator @ x, matrix @ x)
    np.testing.assert_array_equal(operator.H @ y, matrix.T @ y)


def test_the_operator_keeps_its_own_weights() -> None:
    """What happens to w afterwards does not change it."""
    w = np.ones((1, 1, 3))
    operator = conv_operator(w, (5,))
    w[...] = 7
    assert (operator @ np.ones(5)).tolist() == [3, 3, 3]
    assert (operator.H @ np.ones(3)).tolist() == [1, 2, 3, 2, 1]


def test_the_operator_is_pickled() -> None:
    """Before and after its first use; sums and adjoints of it too, as SciPy makes them."""
    w, x = numbers((2, 2, 3, 3), FLOAT64, 0), numbers((72,), FLOAT64, 1)
    operator = conv_operator(w, (2, 6, 6), padding=1, padding_mode="wrap")
    expected = operator @ x
    for again in (pickle.loads(pickle.dumps(operator)), pickle.loads(pickle.dumps(operator.H)).H):  # noqa: S301
        assert (again.shape, again.dtype) == (operator.shape, operator.dtype)
        np.testing.assert_array_equal(again @ x, expected, strict=True)
        np.testing.assert_array_equal(again.H @ expected, operator.H @ expected, strict=True)


def test_threads_share_an_operator() -> None:
    """Eight threads apply one operator for the first time, to vectors of several dtypes, and all are right."""
    w = numbers((3, 2, 3, 3), FLOAT32, 0)
    operator, matrix = conv_operator(w, (2, 20, 20), threads=2), conv_matrix(w, (2, 20, 20))
    kinds = (FLOAT32, FLOAT64, COMPLEX64, COMPLEX128)

    def apply(i: int) -> tuple[Array, Array]:
        x = numbers((800,), kinds[i % 4], i)
        y = operator @ x
        return y, operator.H @ y

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(apply, range(32)))
    for i, (y, back) in enumerate(results):
        np.testing.assert_array_equal(y, matrix @ numbers((800,), kinds[i % 4], i))
        np.testing.assert_array_equal(back, matrix.T @ y)


@pytest.mark.parametrize("function", [conv_matrix, conv_operator])
def test_errors_name_the_function_and_the_way_out(function: Any) -> None:
    """What does not fit is refused before anything is made."""
    op, w = function.__name__, np.ones((1, 1, 3, 3))
    rule = "has a batch axis but the linear map is of one image; give the shape of one, with layout"
    with raises_exactly(LayoutError, f"{op}: layout 'NCHW' of the image (2, 1, 5, 5) {rule}='CHW'"):
        function(w, (2, 1, 5, 5))
    with raises_exactly(LayoutError, f"{op}: layout 'HWNC' of the image (5, 5, 2, 1) {rule}='HWC'"):
        function(w, (5, 5, 2, 1), layout="HWNC")
    with raises_exactly(ArgumentError, f"{op}: image_shape must be a tuple of integers, got 5"):
        function(w, 5)
    with pytest.raises(LayoutError, match=rf"\A{op}: an image with 2 spatial axes has 2 \(plain\)"):
        function(w, (5,))
    with pytest.raises(GeometryError, match=rf"\A{op}: the kernel spans 3 pixels .* axis H of the padded image has 2"):
        function(w, (2, 5))
    with pytest.raises(ShapeError, match=rf"\A{op}: the image \(3, 5, 5\) has 3 channels"):
        function(w, (3, 5, 5))
    with pytest.raises(ShapeError, match=rf"\A{op}: w must be \(filters, channels/groups, \*kernel\)"):
        function(np.ones((3, 3)), (5, 5))
    with pytest.raises(ArgumentError, match=rf"\A{op}: padding_mode must be one of "):
        function(w, (5, 5), padding_mode="mirror")
    with pytest.raises(GeometryError, match=rf"\A{op}: stride must be at least 1, got 0"):
        function(w, (5, 5), stride=0)
    with pytest.raises(DTypeError, match=rf"\A{op}: w has dtype int4, which is copied but not calculated with"):
        function(w.astype(ml_dtypes.int4), (5, 5))
    with pytest.raises(DTypeError, match=rf"\A{op}: w has dtype object"):
        function(w.astype(object), (5, 5))


def test_errors_of_one_function() -> None:
    """Unknown formats, dtypes and algorithms; vectors of another length are SciPy's to refuse."""
    w = np.ones((1, 1, 3, 3))
    with raises_exactly(ArgumentError, "conv_matrix: format must be 'csr' or 'coo', got 'csc'"):
        conv_matrix(w, (5, 5), format="csc")  # type: ignore[arg-type]  # that is refused
    with raises_exactly(DTypeError, "conv_operator: dtype='number' is not a dtype; pass one such as np.float32"):
        conv_operator(w, (5, 5), dtype="number")
    with pytest.raises(ArgumentError, match=r"\Aconv_operator: algorithm must be 'auto' or one of "):
        conv_operator(w, (5, 5), algorithm="fast")
    with pytest.raises(ArgumentError, match=r"\Aconv_operator: threads must be "):
        conv_operator(w, (5, 5), threads=0)
    with pytest.raises(DTypeError, match=r"\Aconv_operator: x has dtype object"):
        conv_operator(w, (5, 5)) @ np.ones(25, object)
    message = (
        "conv_operator: x has dtype bfloat16, which has no common dtype with the operator's int64; convert it first"
    )
    with raises_exactly(DTypeError, message):
        conv_operator(w, (5, 5), dtype=int) @ np.ones(25, BFLOAT16)


@pytest.mark.parametrize("function", [conv_matrix, conv_operator])
def test_without_scipy_the_error_says_what_to_install(function: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """SciPy is an extra, imported by the call."""
    monkeypatch.setitem(sys.modules, "scipy.sparse.linalg", None)
    message = f"{function.__name__}: this needs SciPy; install it with pip install 'im2col[scipy]'"
    with raises_exactly(MissingExtraError, message):
        function(np.ones((1, 1, 3)), (5,))


def test_importing_the_module_does_not_import_scipy() -> None:
    """A fresh interpreter has loaded the module and no SciPy."""
    code = "import sys, im2col.layers.operators, im2col.layers.sparse_matrix; print('scipy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_SECONDS, check=True
    )
    assert done.stdout == "False\n"


def test_least_squares_sharpens_a_blurred_photograph() -> None:
    """A crop, blurred by motion and rounded to 8 bits, is restored to within 2 % of the range; matrix as operator."""
    pillow = require("PIL.Image")
    photo = np.asarray(pillow.open(files("im2col") / "data/chelsea.jpg").convert("L"), np.float64)
    sharp = photo[84:148, 130:226]
    w = np.full((1, 1, 1, 9), 1 / 9)
    options: dict[str, Any] = {"padding": "same", "padding_mode": "symmetric"}
    blurred = conv(sharp, w, **options).round().ravel()
    ways = (conv_operator(w, sharp.shape, **options), conv_matrix(w, sharp.shape, **options))
    results = [linalg.lsqr(a, blurred, damp=0.02, x0=blurred, iter_lim=60)[0] for a in ways]
    errors = [np.sqrt(np.mean((image - sharp.ravel()) ** 2)) for image in (blurred, *results)]
    assert errors[0] > 10
    assert max(errors[1:]) < 5
    np.testing.assert_allclose(results[0], results[1], atol=1e-3)


def test_the_page_on_deconvolution_runs() -> None:
    """Every example of docs/deconvolution.md gives what it prints."""
    require("PIL.Image")
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    failed, tried = doctest.testfile(str(DOCUMENTS / "deconvolution.md"), module_relative=False, optionflags=flags)
    assert failed == 0
    assert tried > 10
