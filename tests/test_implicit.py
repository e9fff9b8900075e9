"""Convolution through the view, by the public functions, against oracles that share no code with it.

The oracle is `oracles.layer_sums`: sums in a wider type, tap by tap; integers exactly. `kit/layers.py` says how
floats are compared with it; `tests/fuzz.py` draws layers at random. torch and SciPy are asked too.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from im2col import conv, conv1d, conv2d, conv3d, im2col, plan
from im2col.algorithms.implicit import decide, view
from im2col.algorithms.implicit.tiles.channel_lanes import ChannelShape
from im2col.algorithms.implicit.tiles.positions import PositionShape
from im2col.engine import compiler
from im2col.engine.target import NAMED, host

from .fuzz import FAMILY, draw
from .kit.convolutions import layer, stored
from .kit.layers import (
    LAYERS,
    Case,
    assert_same_bits,
    assert_within,
    dtype_of,
    expected,
    judge,
    last,
    problem_of,
    within,
)
from .kit.oracles import Window, activated, layer_sums
from .kit.outcomes import require
from .kit.processes import run_alone
from .kit.selection import one_in
from .kit.strategies import BFLOAT16, DTYPES, MEMORY_ORDERS, PADDING_MODES, PADDING_NAMES, fewer
from .kit.targets import forget_choices, planning_for, with_kinds, without_whole_windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

INTEGERS = tuple(str(d) for d in DTYPES if d.kind in "biu" and d.char not in "qQ")
FLOATS = ("float32", "float64", "float16", "bfloat16")


@pytest.fixture(autouse=True)
def _engine() -> Iterator[None]:
    """Ask for the engine; a kernel that does not compile fails its own test and no other."""
    require("llvmlite")
    yield
    if compiler.failure() is not None:
        compiler._reset()


# Every kind of layer.


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("channels", ["first", "last"])
def test_layers(channels: str, name: str, threads: int) -> None:
    """Channels first and last, with one thread and with more, into a new array and into one that was full of NaN."""
    if channels == "first":
        judge(replace(LAYERS[name], threads=threads))
    else:
        judge(replace(last(LAYERS[name]), threads=threads, out_order="C"))


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "int8", "int16", "int64"])
@pytest.mark.parametrize("name", ["dense", "stride 3", "stem 3×3", "image 5×5", "depthwise", "1-d", "two groups"])
@pytest.mark.parametrize("channels", ["first", "last"])
def test_layers_of_other_dtypes(channels: str, name: str, dtype: str) -> None:
    """Every kind of tile, in the dtypes that have kernels or vectors of their own."""
    if channels == "first":
        judge(replace(LAYERS[name], dtype=dtype, bias=True))
    else:
        judge(replace(last(LAYERS[name]), dtype=dtype, out_order="within"))


LAYOUTS = (
    *("NCHW", "NHWC", "CHW", "HWC", "HW", "NHW", "NCW", "NWC", "CW", "WC", "W", "NCDHW", "NDHWC", "DHWC", "DHW"),
    *("CHWN", "HWCN", "WHNC", "HCWN", "NCWH", "CNHW", "HNWC", "WCN", "DCNHW", "ZYXC"),
)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["plain", "strided", "depthwise"])
def test_layouts(kind: str, layout: str) -> None:
    """Any order of the axes, in the image and the same in the result; without channels there is one filter."""
    ndim = len(layout.strip("NC").replace("N", "").replace("C", ""))
    channels, filters = (5, 18) if "C" in layout else (1, 1)
    case = Case((5, 6, 9)[-ndim:], (3, 2, 3)[-ndim:], padding=1, channels=channels, filters=filters, layout=layout)
    if kind == "strided":
        judge(replace(case, stride=(2,) * ndim, dtype="int16", out_order="within", bias=True))
    elif kind == "depthwise" and "C" in layout:
        judge(replace(case, groups=17, channels=1, filters=1, threads=2))
    else:
        judge(replace(case, batch=2 if "N" in layout else 1))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "CHWN"])
@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("stride", [1, (2, 3)])
@pytest.mark.parametrize("first", [0, 1])
def test_padding_modes(first: int, stride: int | tuple[int, int], mode: str, layout: str) -> None:
    """All five, on unequal sides, wider than the image, with values that are not zero, and beyond the kernel."""
    case = Case((5, 7), (3, 2), channels=3, filters=10, layout=layout, mode=mode, value=2, batch=2)
    paddings = ((1, 1), (1, 1)), ((0, 3), (2, 0)), ((6, 11), (9, 8)), ((0, 0), (0, 4))
    others = (
        replace(case, padding=2, dtype="uint8"),
        replace(case, padding=2, dtype="float16", groups=20, channels=1, filters=1),
        replace(case, spatial=(1, 1), padding=3),
    )
    for each in (*(replace(case, padding=padding, stride=stride) for padding in paddings), *others)[first::2]:
        judge(each)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_names_of_padding(k: int) -> None:
    """The names of padding mean what they mean to the other algorithms."""
    x, w = np.ones((2, 3, *(7, 6, 5)[:k]), np.float32), np.ones((4, 3, *(3, 4, 2)[:k]), np.float32)
    for name in PADDING_NAMES:
        ours, theirs = (
            conv(x, w, padding=name, algorithm=a)  # type: ignore[arg-type]  # a name out of a tuple of str
            for a in ("implicit", "explicit")
        )
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("order", [*MEMORY_ORDERS, "within", "broadcast"])
@pytest.mark.parametrize("name", ["dense", "1×1", "image 3×3", "depthwise", "stride 3", "3-d", "batch"])
@pytest.mark.parametrize("kind", ["padded", "channels last", "doubles"])
def test_memory_orders(kind: str, name: str, order: str) -> None:
    """Images and results of any strides: backwards, sliced, at odd addresses, of foreign bytes, with stride zero."""
    case = replace(
        LAYERS[name], x_order=order, out_order=None if order in {"read-only", "swapped", "broadcast"} else order
    )
    if kind == "padded":
        judge(replace(case, mode="edge"))
    elif kind == "channels last":
        judge(replace(last(case), batch=2))
    else:
        judge(replace(case, out_order="within", dtype="float64"))


@pytest.mark.parametrize("order", ["F", "backwards", "rotated", "sliced", "unaligned"])
def test_results_that_tiles_do_not_walk(order: str) -> None:
    """Backwards, and between elements, a tile writes into a copy; every kind of tile knows what it can walk."""
    for name in ("dense", "image 3×3", "depthwise"):
        judge(replace(LAYERS[name], out_order=order))
        judge(replace(last(LAYERS[name]), out_order=order))


@pytest.mark.parametrize("offset", [1, 2, 3])
@pytest.mark.parametrize("name", ["dense", "image 3×3", "depthwise", "1×1"])
@pytest.mark.parametrize("channels", ["first", "last"])
def test_odd_addresses(channels: str, name: str, offset: int) -> None:
    """Image, weights, bias and result that begin 1, 2 or 3 bytes behind an aligned address."""

    def moved(a: Array) -> Array:
        room = np.zeros(a.nbytes + 64, np.uint8)
        start = -room.ctypes.data % 64 + offset
        view: Array = np.frombuffer(room.data, a.dtype, a.size, offset=start).reshape(a.shape)
        view[...] = a
        return view

    case = replace(LAYERS[name] if channels == "first" else last(LAYERS[name]), bias=True)
    x, w, bias = case.arrays()
    exact, bound = expected(case, x, w, bias)
    assert bias is not None
    out = moved(np.full(exact.shape, np.nan, np.float32))
    result = conv(moved(x), moved(w), moved(bias), algorithm="implicit", out=out, **case.options)
    assert_within(result, exact, bound)


def test_strides_of_an_axis_of_one() -> None:
    """An axis of one element may have any stride, as NumPy gives it."""
    x = np.ones((4, 1, 9, 9), np.float32)[:1]
    odd = np.lib.stride_tricks.as_strided(x, x.shape, (4, 12345, *x.strides[2:]))
    w = np.ones((3, 1, 3, 3), np.float32)
    np.testing.assert_array_equal(conv(odd, w, algorithm="implicit"), np.full((1, 3, 7, 7), 9.0))


def test_weights_of_any_strides() -> None:
    """Filters and bias in any memory order and byte order."""
    case = replace(LAYERS["stem 3×3"], bias=True)
    x, w, bias = case.arrays()
    assert bias is not None
    exact, bound = expected(case, x, w, bias)
    for order in MEMORY_ORDERS.values():
        assert_within(conv(x, order(w), order(bias), algorithm="implicit", **case.options), exact, bound)


# Edge tiles.


AXES = {"NCW": (0, 1, 2), "NWC": (0, 2, 1)}


def assert_edges(
    positions: range | tuple[int, ...], filters: range | tuple[int, ...], layouts: tuple[str, ...] = (*AXES,)
) -> None:
    """Convolve every number of positions with every number of filters: integers, which float32 sums exactly."""
    rng = np.random.default_rng(0)
    for n, count in itertools.product(positions, filters):
        x = rng.integers(-9, 10, (2, 1, n)).astype(np.float32)
        w = rng.integers(-9, 10, (count, 1, 1)).astype(np.float32)
        for layout in layouts:
            axes = AXES[layout]
            whole, out = within(np.full((2, count, n), np.nan, np.float32).transpose(axes))
            image = np.ascontiguousarray(x.transpose(axes))
            conv(image, w, layout=layout, algorithm="implicit", out=out, threads=1)
            np.testing.assert_array_equal(
                out, (x * w[:, 0]).transpose(axes), f"{n} positions, {count} filters, {layout}"
            )
            out[...] = 1
            assert (whole == 1).all(), (
                f"something beside the result was written: {n} positions, {count} filters, {layout}"
            )


@pytest.mark.parametrize("filters", [3, 17])
@pytest.mark.parametrize("layout", AXES)
def test_numbers_of_positions(layout: str, filters: int) -> None:
    """A row of 1 to 17 positions, and around two vectors of 16."""
    assert_edges((*range(1, 18), 31, 32, 33), (filters,), (layout,))


def test_numbers_of_filters() -> None:
    """1 to 17 filters, and around more vectors, for a few positions."""
    assert_edges((3,), (*range(1, 18), 23, 24, 25, 31, 32, 33, 47, 48, 49, 64, 65))


@pytest.mark.wide
@pytest.mark.parametrize(
    ("positions", "filters"),
    [(range(1, 41), (3,)), (range(1, 41), (17,)), ((3,), range(1, 71))],
    ids=["positions, few filters", "positions, many filters", "filters"],
)
def test_every_number(positions: range | tuple[int, ...], filters: range | tuple[int, ...]) -> None:
    """A row of 1 to 40 positions, and 1 to 70 filters."""
    assert_edges(positions, filters)


@pytest.mark.wide
@pytest.mark.parametrize("tens", range(7))
def test_every_edge(tens: int) -> None:
    """A third of all of them with a third of all others."""
    assert_edges(range(1 + tens % 3, 41, 3), range(10 * tens + 1, 10 * tens + 11, 3))


class Tall(PositionShape):
    """Tiles that walk the rows of windows, and no others."""

    @classmethod
    def candidates(cls, *layer: Any) -> Iterator[PositionShape]:
        """Yield the tiles that fit a layer."""
        return (shape for shape in super().candidates(*layer) if shape.tall)


class Loaded(PositionShape):
    """Tiles that load the pixels under each column of a window where they lie, and no others."""

    @classmethod
    def candidates(cls, *layer: Any) -> Iterator[PositionShape]:
        """Yield the tiles that fit a layer."""
        return (shape for shape in super().candidates(*layer) if not shape.shuffled)


@pytest.mark.parametrize(("spatial", "kernel"), [((120, 40), (100, 1)), ((130, 64), (101, 2))])
def test_windows_of_many_rows(spatial: tuple[int, int], kernel: tuple[int, int]) -> None:
    """Their rows are walked one by one, as planes are, wherever a CPU's model finds that faster."""
    case = Case(spatial, kernel, channels=3, filters=2, padding=3)
    shape = decide.decide(problem_of(case, "float32"), NAMED["avx512"]).tile.shape
    assert isinstance(shape, PositionShape)
    assert shape.tall
    with with_kinds(Tall):
        judge(case)


@pytest.mark.parametrize("name", [name for name in LAYERS if "depthwise" in name])
@pytest.mark.parametrize("caches", [host().caches, (4096, 256, 4096)], ids=["host", "tiny"])
def test_channels_along_the_lanes_row_by_row(caches: tuple[int, int, int], name: str) -> None:
    """What large windows are computed with, where small ones are; with caches that hold next to nothing, too."""
    with without_whole_windows(), planning_for(host()._replace(caches=caches)):
        judge(last(LAYERS[name]))


class Wide(ChannelShape):
    """Tiles of several vectors of channels that loop over the rows of a window, and no others."""

    @classmethod
    def candidates(cls, *layer: Any) -> Iterator[ChannelShape]:
        """Yield the tiles that fit a layer."""
        return (shape for shape in super().candidates(*layer) if shape.vectors > 1)


@pytest.mark.parametrize("mode", PADDING_MODES)
def test_channels_of_several_vectors(mode: str) -> None:
    """Each vector has sums and weights of its own, and borders of the image's own pixels are as wide as windows."""
    case = Case((14, 15), (3, 3), padding=1, groups=33, layout="NHWC", mode=mode)
    with with_kinds(Wide):
        shape = decide.decide(problem_of(case, "float32"), host()).tile.shape
        assert isinstance(shape, ChannelShape)
        assert shape.vectors > 1
        judge(case)


@pytest.mark.parametrize("kernel", [(9, 2), (13, 3)])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), ((2, 1), (1, 2)), ((1, 2), (3, 1))])
@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_rows_that_share_a_set_of_the_cache(
    kernel: tuple[int, int], stride: int | tuple[int, int], dilation: int | tuple[int, int], mode: str
) -> None:
    """A window's rows, 4 KB apart, are multiplied a few at a time, so that their lines stay in the first level."""
    case = Case((45, 1024), kernel, stride, ((5, 4), (1, 2)), dilation, channels=2, filters=1, mode=mode)
    with with_kinds(Loaded):
        for target in (host(), NAMED["avx2"], NAMED["avx512"]):
            shape = decide.decide(problem_of(case, "float32"), target).tile.shape
            assert isinstance(shape, PositionShape)
            assert 0 < shape.at_once < kernel[0]
        judge(case)


@pytest.mark.parametrize("columns", [8192 + 1, 20_000])
def test_rows_of_several_pieces(columns: int) -> None:
    """The masks of the last piece are those of its own columns."""
    case = Case((1, columns), (1, 5), channels=1, filters=1, padding=((0, 0), (2, 2)))
    shape = decide.decide(problem_of(case, "float32"), NAMED["avx512"]).tile.shape
    assert isinstance(shape, PositionShape)
    judge(case)


@pytest.mark.parametrize("rows", [1, 2, 3, 9])
@pytest.mark.parametrize("k", [(1, 2), (2, 1), (2, 3)])
@pytest.mark.parametrize("filters", [1, 3])
def test_every_size_of_a_plane(filters: int, k: tuple[int, int], rows: int) -> None:
    """Maps of a few rows and up to 70 columns with few filters: tiles of several rows, and masked columns."""
    for columns in (1, 15, 16, 17, 70):
        spatial = rows + k[0] - 1, columns + k[1] - 1
        judge(Case(spatial, k, channels=2, filters=filters, out_order="within"))
        judge(Case((rows, columns), k, padding=((k[0] - 1, 0), (0, k[1] - 1)), filters=filters, out_order="within"))


@pytest.mark.parametrize(
    "name", ["dense", "stem 3×3", "stride 1 by 4", "image, five filters", "depthwise", "two groups"]
)
@pytest.mark.parametrize("channels", ["first", "last"])
def test_caches_that_hold_next_to_nothing(channels: str, name: str) -> None:
    """However small the pieces are that caches ask for, there is one, and the results are right."""
    with planning_for(host()._replace(caches=(4096, 256, 4096))):
        judge(LAYERS[name] if channels == "first" else last(LAYERS[name]))


# Beside the arrays.


@pytest.mark.skipif(os.name != "posix", reason="mprotect is POSIX")
@pytest.mark.parametrize("part", one_in(28, range(28)))
def test_no_page_beside_an_array_is_touched(part: int) -> None:
    """No tile reads or writes a byte beside image, weights, bias or result, not even one that it then ignores."""
    run_alone("kit.layers", f"convolve_against_forbidden_pages(list(BESIDE)[{part}::28])")


@pytest.mark.skipif(os.name != "posix", reason="mprotect is POSIX")
@pytest.mark.parametrize("third", one_in(3, range(3)))
def test_no_page_beside_channels_row_by_row_is_touched(third: int) -> None:
    """Where tiles of whole windows are left out."""
    run_alone("kit.layers", f"convolve_against_forbidden_pages_row_by_row({third})")


# What is no number.


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(2, 3), (9, 33)], ids=["few filters", "many filters"])
def test_a_pixel_reaches_its_windows_only(bad: float, mode: str, layout: str, shape: tuple[int, int]) -> None:
    """A pixel that is no number reaches the positions whose windows cover it, and changes no bit elsewhere."""
    channels, filters = shape
    case = Case((9, 21), (3, 3), (2, 1), ((1, 2), (2, 1)), (1, 2), 2, 1, channels, filters, layout, mode=mode)
    x, w, _ = case.arrays()
    clean = conv(x, w, algorithm="implicit", **case.options)
    for row, column in ((4, 10), (0, 0), (8, 20)):
        dirty, only = x.copy(), np.zeros_like(x)
        pixel = (1, channels - 1, row, column) if layout == "NCHW" else (1, row, column, channels - 1)
        dirty[pixel], only[pixel] = bad, 1
        covers = layer_sums(only, np.ones_like(w), None, layout, case.window, mode=mode)[0] != 0
        assert 0 < np.count_nonzero(covers) < covers.size
        result = conv(dirty, w, algorithm="implicit", **case.options)
        np.testing.assert_array_equal(np.isfinite(result), ~covers)
        np.testing.assert_array_equal(result[~covers], clean[~covers])


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("groups", [(40, 1, 1), (7, 1, 3), (4, 3, 5), (3, 8, 16)], ids=str)
def test_groups_do_not_leak(groups: tuple[int, int, int], layout: str) -> None:
    """A group, and then an image, of nothing but NaN changes no bit of the others."""
    count, channels, filters = groups
    case = Case((5, 7), (3, 3), padding=1, batch=3, groups=count, channels=channels, filters=filters, layout=layout)
    x, w, _ = case.arrays()
    axes = tuple(layout.index(axis) for axis in "NC")
    clean = np.moveaxis(conv(x, w, algorithm="implicit", **case.options), axes, (0, 1))
    for group in (0, count // 2, count - 1):
        dirty = x.copy()
        np.moveaxis(dirty, axes, (0, 1))[1, group * channels : (group + 1) * channels] = np.nan
        result = np.moveaxis(conv(dirty, w, algorithm="implicit", **case.options), axes, (0, 1))
        touched = np.zeros(clean.shape, bool)
        touched[1, group * filters : (group + 1) * filters] = True
        assert np.isnan(result[touched]).all()
        np.testing.assert_array_equal(result[~touched], clean[~touched])


def test_filters_do_not_leak() -> None:
    """A filter, or a bias, of NaN changes no bit of the other maps."""
    for layout, count in itertools.product(("NCHW", "NHWC"), (3, 21)):
        case = Case((6, 9), (3, 3), channels=3, filters=count, layout=layout, bias=True)
        x, w, bias = case.arrays()
        assert bias is not None
        clean = np.moveaxis(conv(x, w, bias, algorithm="implicit", **case.options), layout.index("C"), 0)
        for f in (0, count // 2, count - 1):
            bad_w, bad_bias = w.copy(), bias.copy()
            bad_w[f], bad_bias[f] = np.nan, np.inf
            for filters, offsets in ((bad_w, bias), (w, bad_bias)):
                result = np.moveaxis(
                    conv(x, filters, offsets, algorithm="implicit", **case.options), layout.index("C"), 0
                )
                assert not np.isfinite(result[f]).any()
                np.testing.assert_array_equal(np.delete(result, f, 0), np.delete(clean, f, 0))


# Activations.

ACTIVATIONS = ("relu", "relu6", ("leaky_relu", 0.1), ("leaky_relu", -2), "sigmoid", "silu", "hardswish")
HUGE = (0, 1, 5, 20, 80, 86, 87, 88, 90, 104, 600, 708, 710, 745, 750, 1e4, 1e10, 1e30, 3e38, np.inf)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("layout", ["CW", "WC"])
def test_activations(layout: str, activation: Any, dtype: str) -> None:
    """Sums of every size, not only those that occur, get their activation; none is NaN but NaN's own."""
    kind = dtype_of(dtype)
    name, slope = activation if isinstance(activation, tuple) else (activation, 0.0)
    with np.errstate(over="ignore"):
        values = np.concatenate([np.linspace(-12, 12, 1001), HUGE, np.negative(HUGE), [np.nan]]).astype(kind)
    exact = activated(values.astype(np.longdouble), name, slope)
    eps = 2.0**-7 if dtype == "bfloat16" else float(np.finfo(kind).eps)
    for w in (np.ones((1, 1, 1), kind), np.ones((40, 1, 1), kind)):
        x = values[None] if layout == "CW" else values[:, None]
        result = conv(x, w, activation=activation, layout=layout, algorithm="implicit").astype(np.longdouble)
        result = result if layout == "CW" else result.T
        with np.errstate(all="ignore"):
            close = np.abs(result - exact) <= 8 * eps * np.abs(exact) + 1e-36
            tiny = np.abs(result - exact) <= (2.0**-23 if dtype == "float16" else 0)
        same = (result == exact) | (np.isnan(result) & np.isnan(exact))
        with np.errstate(all="ignore"):
            overflown = np.isinf(exact.astype(kind).astype(float)) & (result == np.sign(exact) * np.inf)
        # -inf times 0 is no number, and the limit there is 0: nothing else will do.
        limit = (values == -np.inf) & np.isnan(exact) & (result == 0)
        wrong = ~(close | tiny | same | overflown | limit)
        assert not wrong.any(), list(zip(values[wrong[0]], result[0][wrong[0]], exact[wrong[0]], strict=True))


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_activations_of_integers(activation: str, dtype: str) -> None:
    """Exactly, after the sum has wrapped around."""
    for case in (
        Case((9, 20), (3, 3), channels=2, filters=3),
        Case((4, 4), (1, 1), channels=3, filters=20, layout="NHWC"),
    ):
        judge(replace(case, dtype=dtype, activation=activation, bias=True))


# Dtypes.


@pytest.mark.parametrize(
    ("x_dtype", "w_dtype"),  # but a signed integer with uint64, which makes a float
    one_in(15, [pair for pair in itertools.product(INTEGERS, INTEGERS) if np.result_type(*pair).kind != "f"]),
)
def test_integers_are_exact_and_wrap(x_dtype: str, w_dtype: str) -> None:
    """Any two integer dtypes, over the whole of their ranges, in every kind of tile."""
    case = Case((5, 9), (3, 2), padding=1, channels=3, filters=18, dtype=x_dtype, w_dtype=w_dtype)
    judge(case)
    judge(last(case))
    judge(replace(last(case), groups=9, channels=1, filters=1))


@pytest.mark.parametrize(
    ("x_dtype", "w_dtype"),
    one_in(
        3,
        [
            ("float32", "float64"),
            ("float16", "float32"),
            ("float16", "int8"),
            ("int16", "float32"),
            ("int32", "float32"),
            ("bfloat16", "float32"),
            ("float32", "bfloat16"),
            ("bool", "float32"),
            ("uint8", "float64"),
            ("bfloat16", "int8"),
        ],
    ),
)
@pytest.mark.parametrize("name", ["stem 3×3", "depthwise", "1×1"])
def test_mixed_dtypes(name: str, x_dtype: str, w_dtype: str) -> None:
    """Image and weights of different dtypes meet in their common one."""
    case = last(LAYERS[name]) if name == "1×1" else LAYERS[name]
    small = 8 if {x_dtype, w_dtype} & {"float16", "bfloat16"} else 64
    rng = np.random.default_rng(0)
    x, w = (
        rng.integers(-small, small, shape).astype(dtype_of(d))
        for shape, d in (
            (case.x_shape, x_dtype),
            ((case.groups * case.filters, case.channels, *case.kernel), w_dtype),
        )
    )
    exact, bound = expected(case, x, w, None)
    result = conv(x, w, algorithm="implicit", **case.options)
    assert result.dtype == np.result_type(x, w)
    assert_within(result, exact, bound)


def test_short_floats_accumulate_in_float32() -> None:
    """4096 ones sum to 4096, where a 16-bit sum would stop at 2048 or at 256; the sum is rounded once, to even."""
    for dtype in (np.dtype(np.float16), BFLOAT16):
        ones = np.ones((1, 4096), dtype)
        np.testing.assert_array_equal(conv(ones, ones[None], algorithm="implicit"), [[4096]])
    x = np.array([[256, 1]], BFLOAT16)
    for extra, rounded in ((1, 256), (3, 260), (2, 258)):  # between 256 and 258, then 258 and 260, then none
        w = np.array([[[1, extra]]], BFLOAT16)
        assert float(conv(x, w, algorithm="implicit")[0, 0]) == rounded


# Other oracles.


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in LAYERS
        if "4-d" not in n and not any(isinstance(p, tuple) and p[0] != p[1] for p in LAYERS[n].window.padding)
    ],
)
def test_torch(name: str, torch: Any) -> None:
    """PyTorch in float64 gives the same, within the bound of float32."""
    case = LAYERS[name]
    x, w, bias = case.arrays()
    _, bound = expected(case, x, w, bias)
    function = getattr(torch.nn.functional, f"conv{len(case.spatial)}d")
    tensors = [None if a is None else torch.from_numpy(a.astype(np.float64)) for a in (x, w, bias)]
    window = case.window
    padding = [before for before, _ in window.padding]
    exact = function(*tensors, stride=window.stride, padding=padding, dilation=window.dilation, groups=case.groups)
    exact = exact.relu() if case.activation == "relu" else exact
    assert_within(conv(x, w, bias, algorithm="implicit", **case.options), exact.numpy(), bound)


@pytest.mark.parametrize("size", [3, 7, 15, 31])
def test_scipy_filters_images(size: int) -> None:
    """SciPy's correlation and convolution of one image with one kernel, to 31×31."""
    case = Case((61, 90), (size, size), padding=size // 2)
    x, w, _ = case.arrays()
    _, bound = expected(case, x, w, None)
    wide, kernel = x[0, 0].astype(float), w[0, 0].astype(float)
    correlated = conv2d(x[0, 0], w[0, 0], padding="same", algorithm="implicit")
    assert_within(correlated, signal.correlate2d(wide, kernel, "same"), bound[0, 0])
    convolved = conv2d(x[0, 0], w[0, 0], padding="same", flip=True, algorithm="implicit")
    assert_within(convolved, signal.convolve2d(wide, kernel, "same"), bound[0, 0])


@pytest.mark.parametrize(
    "name", ["dense", "stem 7×7", "image 5×5", "dilated and strided", "3-d, strided", "1-d, causal"]
)
def test_the_columns_product(name: str) -> None:
    """The layer is the column matrix times the weights: exactly, where they are small integers."""
    case = LAYERS[name]
    rng = np.random.default_rng(0)
    x = rng.integers(-4, 5, case.x_shape).astype(np.float64)
    w = rng.integers(-4, 5, (case.filters, case.channels, *case.kernel)).astype(np.float64)
    o = case.options
    columns = im2col(x, case.kernel, stride=o["stride"], padding=o["padding"], dilation=o["dilation"])
    product = (columns @ w.reshape(len(w), -1).T).swapaxes(-1, -2)
    np.testing.assert_array_equal(conv(x, w, algorithm="implicit", **o).reshape(product.shape), product)


@pytest.mark.parametrize(
    "name", one_in(3, ["dense", "1×1", "image 7×7", "depthwise", "strided", "grouped 1×1", "1-d", "3-d"])
)
def test_the_adjoint(name: str) -> None:
    """⟨conv(x), y⟩ = ⟨x, convᵀ(y)⟩, where the adjoint is a full convolution with flipped and transposed filters."""
    case = LAYERS.get(name, LAYERS["dense"])
    rng = np.random.default_rng(0)
    groups, channels, filters = case.groups, case.channels, case.filters
    x = rng.integers(-3, 4, case.x_shape).astype(np.int64)
    w = rng.integers(-3, 4, (groups * filters, channels, *case.kernel)).astype(np.int64)
    result = conv(x, w, padding="valid", groups=groups, algorithm="implicit")
    y = rng.integers(-3, 4, result.shape)
    turned = w.reshape(groups, filters, channels, *case.kernel).swapaxes(1, 2).reshape(-1, filters, *case.kernel)
    back = conv(y, turned, padding="full", groups=groups, flip=True, algorithm="implicit")
    assert back.shape == x.shape
    assert (result * y).sum() == (x * back).sum()


@pytest.mark.parametrize(("function", "k"), [(conv1d, 1), (conv2d, 2), (conv3d, 3)])
def test_numbered_functions(function: Callable[..., Array], k: int) -> None:
    """Plain loops over Python numbers agree: groups, bias, flip, unequal padding."""
    rng = np.random.default_rng(k)
    x = rng.integers(-9, 10, (2, 4, *(6, 5, 4)[:k])).astype(np.int32)
    w = rng.integers(-9, 10, (6, 2, *(3, 2, 2)[:k])).astype(np.int32)
    bias = rng.integers(-9, 10, 6).astype(np.int32)
    window = Window(x.shape[2:], w.shape[2:], (2, 1, 1)[:k], ((1, 0),) * k, (1, 2, 1)[:k])
    for mode in PADDING_MODES:
        sums = layer(x, w, window, "NCABD"[: k + 2], bias=bias, groups=2, mode=mode, value=3, flip=True)
        options: dict[str, Any] = {"stride": window.stride, "padding": window.padding, "dilation": window.dilation}
        options |= {"groups": 2, "padding_mode": mode, "padding_value": 3, "flip": True, "algorithm": "implicit"}
        np.testing.assert_array_equal(function(x, w, bias, **options), stored(sums, np.dtype(np.int32)))


# The same bits.


@pytest.mark.parametrize("name", one_in(14, LAYERS))
def test_the_same_bits(name: str) -> None:
    """For any number of threads, and alone or in a batch."""
    assert_same_bits(LAYERS[name])
    assert_same_bits(last(LAYERS[name]))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(
    "case",
    [
        Case((40, 40), (3, 3), padding=1, channels=64, filters=96),
        Case((7, 7), (1, 1), channels=256, filters=512),
        Case((3, 3), (3, 3), padding=1, channels=128, filters=256),
        Case((80, 80), (5, 5), padding=2, groups=64),
        Case((300, 300), (7, 7), padding=3),
        Case((60, 60), (3, 3), padding=1, groups=32, channels=4, filters=4),
    ],
    ids=str,
)
def test_the_same_bits_of_what_threads_share(case: Case, layout: str) -> None:
    """Layers large enough for several tasks, which are cut along images, groups, rows or filters."""
    assert_same_bits(replace(case, layout=layout))


@fewer(2)
@given(number=st.integers(0, 40 * FAMILY - 1))
def test_the_same_bits_of_any_layer(number: int) -> None:
    """Layers drawn at random."""
    assert_same_bits(draw(2, number))


# Anything.


@pytest.mark.parametrize("part", one_in(20, range(20)))
def test_fuzz(part: int) -> None:
    """500 of the cases that `make fuzz` draws; a failure shows the case."""
    for number in range(25 * part, 25 * part + 25):
        case = draw(0, number)
        try:
            judge(case)
        except Exception as cause:
            raise AssertionError(f"python -m tests.fuzz --seed 0 --only {number}: {case}") from cause


def test_the_plan_says_what_it_cannot() -> None:
    """Complex numbers and wide floats go to another algorithm, and the plan says why."""
    for dtype in ("complex64", "longdouble"):
        w = np.ones((2, 3, 3, 3), dtype)
        prepared = plan((1, 3, 9, 9), w, x_dtype=dtype)
        assert prepared.algorithm == "explicit"
        assert "implicit   cannot: " in str(prepared)


# Copies of small images are made together


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("dtype", "mode"), [("f4", "reflect"), ("f2", "constant"), ("i1", "wrap"), ("u1", "constant")])
@pytest.mark.parametrize("batch", [1, 5, 7])
def test_small_images_are_copied_together(
    batch: int, dtype: str, mode: Any, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each image gets the bits that it gets alone, into arrays of any strides, with a remainder at the end."""
    monkeypatch.setattr(view, "_COPIES_BYTES", 2500)
    forget_choices()
    rng = np.random.default_rng(5)
    x, w = rng.integers(-9, 9, (batch, 3, 7, 9)).astype(dtype), rng.integers(-9, 9, (4, 3, 3, 3)).astype(dtype)
    options: Any = {"padding": 2, "padding_mode": mode, "padding_value": 1, "algorithm": "implicit", "threads": threads}
    run = plan(x.shape, w, **options)
    assert run.algorithm == "implicit"
    alone = np.stack([conv(each[None], w, **options)[0] for each in x])
    reference = conv(x, w, **options | {"algorithm": "reference"})
    out = np.empty((batch, 9, 11, 4), alone.dtype).transpose(0, 3, 1, 2)
    for result in (run(x), run(np.asfortranarray(x)), run(np.flip(x.copy(), 0)[::-1]), run(x, out)):
        np.testing.assert_array_equal(result, alone, strict=True)
    np.testing.assert_array_equal(alone, reference)
    forget_choices()
