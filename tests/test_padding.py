"""Padding: names and numbers, the padded image, its index and its adjoint, and the constant."""

from __future__ import annotations

import itertools
import tracemalloc
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from im2col import col2im, conv1d, im2col, output_shape, overlap_count, window_geometry
from im2col.errors import ArgumentError, DTypeError, GeometryError, ShapeError, shown
from im2col.spec import border, padding
from im2col.spec import padded as images
from im2col.spec.layout import Layout

from .kit import oracles
from .kit.outcomes import raises_exactly, require, unknown_mode
from .kit.strategies import (
    DTYPES,
    MEMORY_ORDERS,
    PADDING_MODES,
    PADDING_NAMES,
    dtypes,
    geometry,
    memory_orders,
    numbers,
    seeds,
    spelled,
    spelled_padding,
    windows,
)


@given(st.data())
def test_resolve_geometry_takes_every_spelling(data: st.DataObject) -> None:
    """Ints, tuples, lists, arrays and pairs of either come to the same geometry, made of plain ints."""
    window = data.draw(windows())
    written = [data.draw(spelled(v)) for v in (window.kernel_size, window.stride, window.dilation)]
    kernel, stride, dilation = written
    pairs = data.draw(spelled_padding(window.padding))
    axes = "ABDE"[: len(window.spatial_shape)]
    result = padding.resolve_geometry(axes, window.spatial_shape, kernel, stride, pairs, dilation)
    assert result == geometry(window)
    assert {type(n) for pair in result.padding for n in pair} == {int}


@pytest.mark.parametrize("name", PADDING_NAMES)
@given(data=st.data())
def test_named_padding(name: str, data: st.DataObject) -> None:
    """Every name gives the pixels that its rule, written down a second time, gives."""
    window = data.draw(windows(padding=name))
    axes = "ABDE"[: len(window.spatial_shape)]
    result = padding.resolve_geometry(
        axes, window.spatial_shape, window.kernel_size, window.stride, name, window.dilation
    )
    assert result == geometry(window)


@pytest.mark.parametrize("n", range(1, 8))
@pytest.mark.parametrize("kernel", range(1, 6))
def test_same_is_the_least_padding_for_its_output(n: int, kernel: int) -> None:
    """Under "same" the output is ceil(n / stride), with the fewest pixels that reach it, the odd one after."""
    for stride, dilation in itertools.product(range(1, 5), range(1, 4)):
        stops = len(range(0, n, stride))
        least = next(p for p in range(99) if len(oracles.axis_stops(n, kernel, stride, (0, p), dilation)) >= stops)
        before, after = padding.resolve_geometry("W", (n,), kernel, stride, "same", dilation).padding[0]
        lower = padding.resolve_geometry("W", (n,), kernel, stride, "same_lower", dilation)
        assert before + after == least
        assert after - before in (0, 1)
        assert lower.padding == ((after, before),)
        assert lower.output_shape == (stops,)


def test_full_and_causal_touch_what_they_say() -> None:
    """Under "full" the first and last window touch one pixel; under "causal" each ends on its own pixel."""
    full = padding.resolve_geometry("W", (6,), 3, 1, "full", 2)
    assert full.pixel(0, 2) == (0,)
    assert full.pixel(full.positions - 1, 0) == (5,)
    causal = padding.resolve_geometry("W", (6,), 3, 1, "causal", 2)
    assert [causal.pixel(i, 2) for i in range(causal.positions)] == [(i,) for i in range(6)]


def test_multiple_makes_a_mosaic() -> None:
    """With stride = kernel, each pixel lies in exactly one block, and `col2im` puts the blocks together again."""
    x = np.arange(2.0 * 7 * 10).reshape(2, 7, 10)
    blocks = im2col(x, (3, 4), stride=(3, 4), padding="multiple", padding_value=-1)
    assert blocks.shape == (9, 24)
    assert (np.sort(blocks, axis=None)[-x.size :] == np.arange(x.size)).all()
    assert overlap_count((7, 10), (3, 4), stride=(3, 4), padding="multiple").tolist() == np.ones((7, 10)).tolist()
    again = col2im(blocks, x.shape, (3, 4), stride=(3, 4), padding="multiple")
    np.testing.assert_array_equal(again, x)
    assert output_shape((7, 10), 3, stride=2, padding="multiple") == (3, 5)
    with pytest.raises(GeometryError, match="axis H"):
        output_shape((0, 10), 3, padding="multiple")


@pytest.mark.parametrize(
    ("error", "wrong", "message"),
    [
        (
            ArgumentError,
            "SAME",
            "padding must be an integer, one entry per axis, or one of ('valid', 'same', 'same_lower', 'full', "
            "'causal', 'multiple'); got 'SAME'",
        ),
        (GeometryError, -1, "padding must be at least 0, got -1"),
        (GeometryError, ((0, 1), (0, -1)), "padding must be at least 0, got -1"),
        (GeometryError, 1.5, "padding must be an integer or one integer per axis, got 1.5"),
        (
            GeometryError,
            (1, 2, 3),
            "padding has 3 entries (1, 2, 3) for 2 spatial axes; give one integer, or one entry per axis, each an "
            "integer or a (before, after) pair such as ((1, 2), (1, 2))",
        ),
        (
            GeometryError,
            np.array([1, 2, 3]),
            "padding has 3 entries (1, 2, 3) for 2 spatial axes; give one integer, or one entry per axis, each an "
            "integer or a (before, after) pair such as ((1, 2), (1, 2))",
        ),
        (
            GeometryError,
            (1, (1, 2, 3)),
            "an entry of padding must be an integer or a (before, after) pair, got (1, 2, 3)",
        ),
    ],
)
def test_resolve_geometry_refuses(error: type[Exception], wrong: object, message: str) -> None:
    """Wrong padding is refused with the value received."""
    with raises_exactly(error, message):
        padding.resolve_geometry("HW", (5, 5), 3, padding=wrong)


def test_resolve_geometry_speaks_of_one_axis() -> None:
    """The pair of a single axis must be wrapped in a tuple, which the message shows."""
    message = (
        "padding has 2 entries (1, 2) for 1 spatial axis; give one integer, or one entry per axis, each an integer or "
        "a (before, after) pair such as ((1, 2),)"
    )
    with raises_exactly(GeometryError, message):
        padding.resolve_geometry("W", (5,), 3, padding=(1, 2))


def test_resolve_geometry_refuses_a_negative_length() -> None:
    """A shape that no array has is refused by the name of its axis."""
    with raises_exactly(GeometryError, "the length of axis W must be at least 0, got -5"):
        padding.resolve_geometry("HW", (5, -5), 3)


@pytest.mark.parametrize("mode", PADDING_MODES)
@given(n=st.integers(1, 6), pair=st.tuples(st.integers(0, 20), st.integers(0, 20)))
def test_source_index_follows_the_rule_of_its_mode(mode: str, n: int, pair: tuple[int, int]) -> None:
    """Every coordinate shows the pixel that walking with mirrors, clamps and laps leads to, however far out."""
    expected = [oracles.source(i, n, mode) for i in range(-pair[0], n + pair[1])]
    result = images.source_index(n, *pair, mode)
    assert [None if i < 0 else i for i in result.tolist()] == expected


@pytest.mark.parametrize("mode", PADDING_MODES)
@given(data=st.data())
def test_pad_image_is_np_pad(mode: str, data: st.DataObject) -> None:
    """The padded image is np.pad's, in native byte order, for every dtype and memory order."""
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple))
    pairs = data.draw(st.tuples(*[st.tuples(st.integers(0, 5), st.integers(0, 5))] * len(shape)))
    dtype = data.draw(dtypes())
    plain = numbers(shape, dtype, data.draw(seeds()))
    value = numbers((), dtype, data.draw(seeds()))
    constant = {"constant_values": value} if mode == "constant" else {}
    x = MEMORY_ORDERS[data.draw(memory_orders())](plain)
    result = images.pad_image(x, pairs, mode, value)
    np.testing.assert_array_equal(result, np.pad(plain, pairs, mode, **constant))  # type: ignore[call-overload]  # a mode by its name
    assert result.dtype == dtype
    assert result.dtype.isnative
    assert result.flags.c_contiguous


@pytest.mark.parametrize("mode", PADDING_MODES)
@given(data=st.data())
def test_fold_padding_is_the_adjoint_of_pad_image(mode: str, data: st.DataObject) -> None:
    """``<pad(x), y> == <x, fold(y)>`` over integers, exactly, whichever axis the spatial ones start at."""
    g = geometry(data.draw(windows()))
    first = data.draw(st.integers(0, 2))
    lead = (2, 3)[:first]
    x = numbers((*lead, *g.spatial_shape), np.dtype(np.int64), data.draw(seeds()))
    y = numbers((*lead, *g.padded_shape), np.dtype(np.int64), data.draw(seeds()))
    padded = images.pad_image(x, ((0, 0),) * first + g.padding, mode, np.array(0))
    left = int((padded * y).sum())
    folded = images.fold_padding(y, first, g, mode)
    assert folded.shape == x.shape
    assert left == int((x * folded).sum())


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap"])
@given(data=st.data())
def test_a_border_is_cut_and_summed_in_order(mode: str, data: st.DataObject) -> None:
    """However far a border goes, and however its work is cut, pixels are np.pad's and sums those of a plain loop.

    The lines that show a pixel are added in their order, one after the other: to the bit, for floats too.
    """
    n, before, after = data.draw(st.integers(1, 6)), data.draw(st.integers(0, 40)), data.draw(st.integers(0, 40))
    rest = data.draw(st.sampled_from([(), (2,), (3, 2), (0, 2)]))
    axis = data.draw(st.integers(0, len(rest)))
    limits = {"_PIECE_BYTES": st.sampled_from([1, 100, 1 << 20]), "_FEW_TERMS": st.sampled_from([1, 8])}
    with pytest.MonkeyPatch.context() as patched:
        for name, values in limits.items():
            patched.setattr(border, name, data.draw(values))
        x = numbers((n, *rest), np.dtype(np.float32), data.draw(seeds()))
        pairs = ((before, after), *[(0, 0)] * len(rest))
        padded = np.moveaxis(np.full((before + n + after, *rest), np.nan, np.float32), 0, axis).copy()
        lines = np.moveaxis(padded, axis, 0)
        lines[before : before + n] = x
        border.fill_border(lines, n, before, mode)
        np.testing.assert_array_equal(lines, np.pad(x, pairs, mode))  # type: ignore[call-overload]  # a mode by its name

        terms = np.random.default_rng(data.draw(seeds())).standard_normal(lines.shape).astype(np.float32)
        terms[:1] = -0.0
        expected = terms[before : before + n].copy()
        for line in (*range(before), *range(before + n, len(terms))):
            pixel = oracles.source(line - before, n, mode)
            assert pixel is not None
            expected[pixel] += terms[line]
        lines[...] = terms
        folded = border.fold_border(lines, n, before, mode)
        assert np.may_share_memory(folded, padded) == bool(folded.size)
        assert folded.tobytes() == expected.tobytes()


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap"])
def test_lines_of_any_size_are_copied_and_added_in_parts(mode: str) -> None:
    """NumPy copies first what it cannot tell from what it writes: that is never as large as a line of an image."""
    lines = np.ones((2, 9, 1 << 17, 4)).swapaxes(0, 1)  # 8 MiB each, between one another
    for work in (border.fill_border, border.fold_border):
        tracemalloc.start()
        try:
            work(lines, 4, 3, mode)
            assert tracemalloc.get_traced_memory()[1] < 3 << 20
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("wrong", ["linear_ramp", "circular", "Edge", ""])
def test_check_mode_refuses_unknown_names(wrong: str) -> None:
    """Only five of np.pad's modes are taken; whoever knows them by other names is told ours."""
    message = unknown_mode(wrong)
    with raises_exactly(ArgumentError, message):
        padding.check_mode(wrong, Layout("W"), padding.resolve_geometry("W", (5,), 3))


@pytest.mark.parametrize("wrong", [None, 3, b"wrap", np.array(["wrap", "wrap"])])
def test_check_mode_refuses_what_is_no_name(wrong: object) -> None:
    """With what it is."""
    message = f"padding_mode must be one of ('constant', 'edge', 'reflect', 'symmetric', 'wrap'), got {wrong!r}"
    with raises_exactly(ArgumentError, message):
        padding.check_mode(wrong, Layout("W"), padding.resolve_geometry("W", (5,), 3))


@pytest.mark.parametrize(
    ("wrong", "example"),
    [
        (("reflect", "wrap"), {"H": "reflect", "W": "wrap"}),
        (["edge"], {"W": "wrap"}),
        ((), {"W": "wrap"}),
        (("edge", "circular"), {"W": "wrap"}),
    ],
)
def test_modes_go_by_letters(wrong: object, example: object) -> None:
    """Axes are named, so that no order of them need be known."""
    message = f"padding_mode is one name for all axes, or a mapping by axis such as {example!r}; got {wrong!r}"
    with raises_exactly(ArgumentError, message):
        padding.check_mode(wrong, Layout("HW"), padding.resolve_geometry("HW", (5, 5), 3))


@pytest.mark.parametrize("letter", ["C", "N", "h", "HW", "", 0, None, ("H",)], ids=repr)
def test_only_spatial_axes_have_modes(letter: Any) -> None:
    """Whatever else is a key is refused, with those that may be."""
    message = (
        f"padding_mode has a mode for {letter!r} but the spatial axes of the image are ('H', 'W'); give modes of "
        "those, as in {'W': 'wrap'}"
    )
    with raises_exactly(ArgumentError, message):
        padding.check_mode({"W": "edge", letter: "wrap"}, Layout("HW"), padding.resolve_geometry("HW", (5, 5), 3))


def test_modes_are_one_where_padded_axes_agree() -> None:
    """Axes that are left out are constant, and those without padding have no say."""
    both = padding.resolve_geometry("HW", (5, 5), 3, padding=1)
    wide = padding.resolve_geometry("HW", (5, 5), 3, padding=((0, 0), (1, 0)))
    for mode, expected, expected_wide in (
        ({"W": "wrap"}, ("constant", "wrap"), "wrap"),
        ({"H": "wrap"}, ("wrap", "constant"), "constant"),
        ({"W": "edge", "H": "reflect"}, ("reflect", "edge"), "edge"),
        ({"W": "edge", "H": "edge"}, "edge", "edge"),
        (MappingProxyType({"H": "symmetric"}), ("symmetric", "constant"), "constant"),
        ({}, "constant", "constant"),
        ("wrap", "wrap", "wrap"),
    ):
        assert padding.check_mode(mode, Layout("HW"), both) == expected
        assert padding.check_mode(mode, Layout("HW"), wide) == expected_wide
    with raises_exactly(ArgumentError, unknown_mode("circular")):
        padding.check_mode({"W": "circular"}, Layout("HW"), both)


def test_names_of_other_libraries_are_ours() -> None:
    """What the message says: SciPy's borders by their names there are ours by our names."""
    ndimage = require("scipy.ndimage")
    x, names = np.arange(5.0), {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap"}
    for theirs, ours in names.items():
        expected = ndimage.correlate1d(x, [1.0, 2, 4, 8, 16], mode=theirs)
        np.testing.assert_allclose(conv1d(x, [1.0, 2, 4, 8, 16], padding=2, padding_mode=ours), expected)  # type: ignore[arg-type]  # a mode by its name


def test_check_mode_refuses_to_copy_pixels_of_an_empty_axis() -> None:
    """An axis without pixels can only be padded with a constant."""
    empty = padding.resolve_geometry("HW", (5, 0), 1, padding=((0, 0), (1, 0)))
    padding.check_mode("constant", Layout("HW"), empty)
    message = (
        "padding_mode 'edge' needs pixels to copy but spatial axis 1 of the image has none; use padding_mode='constant'"
    )
    with raises_exactly(GeometryError, message):
        padding.check_mode("edge", Layout("HW"), empty)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_constant_is_a_value_of_the_dtype(dtype: np.dtype[Any]) -> None:
    """0 and 1, of any type that can be compared with them, become the image's dtype."""
    for value in (0, 1, True, 1.0, np.float32(1), np.int8(0), np.array(1, dtype)):
        result = padding.constant(value, dtype)
        assert result.dtype == dtype
        assert result.shape == ()
        assert result == value


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (-np.inf, "float16"),
        (np.nan, "bfloat16"),
        (0.1, "float32"),
        (2**53 + 1, "float64"),
        (1 + 2j, "complex64"),
        (2**64 - 1, "uint64"),
        (-(2**63), "int64"),
    ],
)
def test_constant_keeps_extreme_values(value: complex, dtype: str) -> None:
    """Infinities, NaN and the ends of the integers are values too; floats are rounded as NumPy rounds them."""
    result = padding.constant(value, np.dtype(dtype))
    assert result.tobytes() == np.array(value).astype(dtype).tobytes()


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (0.5, "int32"),
        (np.nan, "int64"),
        (np.inf, "uint8"),
        (-1, "uint8"),
        (256, "uint8"),
        (2, "bool"),
        (2**63, "int64"),
        (2.0**63, "int64"),
        (2.0**64, "uint64"),
        (2**64, "uint64"),
        (1j, "float64"),
        (1j, "bfloat16"),
        (1 + 0j, "int8"),
        ("0", "float32"),
        (None, "float32"),
        (["0"], "float32"),
        ([1, [2, 3]], "float32"),
        (np.datetime64(0, "s"), "int64"),
        (np.void(b"ab"), "float32"),
    ],
)
def test_constant_refuses(value: object, dtype: str) -> None:
    """A value that the dtype cannot hold is refused with both."""
    message = f"padding_value {value!r} is not a value of the image's dtype {dtype}"
    with raises_exactly(DTypeError, message):
        padding.constant(value, np.dtype(dtype))


def test_constant_takes_integers_of_any_length() -> None:
    """Those that floats hold; others are refused, and no message spells out hundreds of digits."""
    assert padding.constant(-(2**70), np.dtype(np.float32)) == -(2.0**70)
    assert padding.constant(2**127, np.dtype(np.complex64)) == 2.0**127
    for value, bits in ((2**2000, 2001), (-(10**5000), 16610)):
        for dtype in ("float32", "float64", "int8", "uint64", "complex64"):
            message = f"padding_value an integer of {bits} bits is not a value of the image's dtype {dtype}"
            with raises_exactly(DTypeError, message):
                padding.constant(value, np.dtype(dtype))


@pytest.mark.parametrize("value", [(1, 2, 3), [0.5], [[1]], (), np.ma.array([1, 2, 3])], ids=repr)
def test_values_of_channels_come_as_an_array(value: Any) -> None:
    """Other containers are refused with the way out."""
    message = (
        f"padding_value is one scalar, or an array of one value a channel such as np.array((1, 2, 3)); got "
        f"{shown(value)}"
    )
    with raises_exactly(DTypeError, message):
        padding.constant(value, np.dtype(np.float32), 3)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_value_for_each_channel(dtype: np.dtype[Any]) -> None:
    """Of any dtype; where all are the same they are one."""
    for value in (np.array((0, 1, 1)), np.array((0.0, 1, 1)), np.array((0, 1, 1), dtype), np.array((0, 1, 1), ">i2")):
        result = padding.constant(value, dtype, 3)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result.astype(complex), [0, 1, 1])
    assert padding.constant(np.ones(3), dtype, 3).shape == ()
    assert padding.constant(np.ones(0), dtype, 0).shape == ()
    if dtype.kind in "fc" and dtype.char not in "gG":
        assert padding.constant(np.array([0.0, -0.0]), dtype, 2).shape == (2,)
        assert padding.constant(np.array([np.nan, np.nan]), dtype, 2).shape == ()


def test_there_is_a_value_for_each_channel_or_one() -> None:
    """And each is a value of the dtype."""
    for value, channels, image in (
        (np.arange(3), 4, "the image has 4 channels"),
        (np.arange(3), None, "the image has no channel axis"),
        (np.zeros((2, 1)), 2, "the image has 2 channels"),
    ):
        message = (
            f"padding_value has shape {value.shape} but {image}; pass one scalar, or an array of one value a channel"
        )
        with raises_exactly(ShapeError, message):
            padding.constant(value, np.dtype(np.float32), channels)
    for values, first, dtype in (((1, 0.5), 0.5, "int8"), ((1, 300), 300, "uint8"), ((1, 1e39), 1e39, "float32")):
        with raises_exactly(DTypeError, f"padding_value {first!r} is not a value of the image's dtype {dtype}"):
            padding.constant(np.array(values), np.dtype(dtype), 2)
    wrong = np.array([1j, 2])
    with raises_exactly(DTypeError, f"padding_value {shown(wrong)} is not a value of the image's dtype float32"):
        padding.constant(wrong, np.dtype(np.float32), 2)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_window_geometry_takes_what_users_write(k: int) -> None:
    """Ints for all axes and padding by name, for any number of axes; equal windows are one key of a dictionary."""
    shape = tuple(range(5, 5 + k))
    named = window_geometry(shape, 3, stride=2, padding="same")
    assert named.output_shape == tuple(-(-n // 2) for n in shape)
    spelled = window_geometry(shape, (3,) * k, stride=(2,) * k, padding=named.padding, dilation=1)
    assert {named: 1}[spelled] == 1


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (ArgumentError, (5, 3), "window_geometry: spatial_shape must be a tuple of integers, got 5"),
        (GeometryError, ((5, -1), 3), "window_geometry: an entry of spatial_shape must be at least 0, got -1"),
        (
            GeometryError,
            ((5, 2), 3),
            "window_geometry: the kernel spans 3 pixels (size 3, dilation 1) but axis W of the padded image has 2; pad "
            "by at least 1 on each side or use a smaller kernel",
        ),
    ],
)
def test_window_geometry_refuses(error: type[Exception], arguments: tuple[Any, Any], message: str) -> None:
    """The function names itself, the axis and the values."""
    with raises_exactly(error, message):
        window_geometry(*arguments)
