"""The geometry: output shapes, the index map, and what is refused."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import FrozenInstanceError, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from im2col.errors import GeometryError
from im2col.spec.arguments import integer, per_axis
from im2col.spec.geometry import Geometry
from im2col.spec.strides import offsets

from .kit.outcomes import raises_exactly
from .kit.strategies import geometry, windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .kit.oracles import Window

NO_PADDING = ((0, 0), (0, 0))


@pytest.mark.parametrize(
    ("n", "kernel", "stride", "padding", "dilation", "stops"),
    [
        (5, 3, 2, 0, 1, 2),  # the popular floor((n + 2p - k + 1) / s) says 1
        (5, 3, 1, 0, 1, 3),
        (6, 3, 2, 0, 1, 2),
        (7, 3, 2, 1, 1, 4),
        (224, 7, 2, 3, 1, 112),
        (5, 3, 1, 0, 2, 1),
        (1, 1, 9, 0, 9, 1),
    ],
)
def test_output_shape_of_known_layers(
    n: int, kernel: int, stride: int, padding: int, dilation: int, stops: int
) -> None:
    """Output lengths that papers and frameworks agree on, the trap among them."""
    assert Geometry((n,), (kernel,), (stride,), ((padding, padding),), (dilation,)).output_shape == (stops,)


@given(windows())
def test_output_shape_counts_the_stops(window: Window) -> None:
    """The rule gives as many stops as sliding the window does, and the sizes beside it agree."""
    g = geometry(window)
    assert g.output_shape == window.output_shape
    assert g.ndim == len(window.stops)
    assert g.positions == len(list(itertools.product(*window.stops)))
    assert g.taps == len(list(np.ndindex(*window.kernel_size)))
    assert g.span == tuple(stops[0][-1] - stops[0][0] + 1 for stops in window.stops)
    assert g.padded_shape == tuple(
        len([*range(before), *range(n), *range(after)])
        for n, (before, after) in zip(window.spatial_shape, window.padding, strict=True)
    )
    assert g.is_padded == (g.padded_shape != g.spatial_shape)


@given(windows())
def test_pixel_is_what_sliding_shows(window: Window) -> None:
    """`pixel` names the coordinates that the sliding window has under each tap."""
    g = geometry(window)
    for position, stop in enumerate(itertools.product(*window.stops)):
        for tap, steps in enumerate(np.ndindex(*window.kernel_size)):
            assert g.pixel(position, tap) == tuple(axis[t] for axis, t in zip(stop, steps, strict=True))


@given(windows(), st.data())
def test_offsets_and_strides_lead_to_the_same_pixel(window: Window, data: st.DataObject) -> None:
    """Position offset plus tap offset, and the strides, point at `pixel` under any strides of the padded image."""
    g = geometry(window)
    strides = data.draw(st.tuples(*[st.integers(-1000, 1000)] * g.ndim))
    address = g.position_offsets(strides)[:, None] + g.tap_offsets(strides)
    assert address.dtype == np.int64
    assert address.shape == (g.positions, g.taps)
    position, tap = data.draw(st.integers(0, g.positions - 1)), data.draw(st.integers(0, g.taps - 1))
    padded = np.add(g.pixel(position, tap), [before for before, _ in g.padding])
    assert address[position, tap] == np.dot(padded, strides)
    stop, step = np.unravel_index(position, g.output_shape), np.unravel_index(tap, g.kernel_size)
    steps = np.dot(stop, g.position_strides(strides)) + np.dot(step, g.tap_strides(strides))
    assert address[position, tap] == steps


@given(windows())
def test_what_meets_the_image_is_what_sliding_shows(window: Window) -> None:
    """The taps of each position, and the positions of each tap, that lie on pixels; (0, 0) where none does."""
    g = geometry(window)
    for axis, (stops, n) in enumerate(zip(window.stops, window.spatial_shape, strict=True)):
        meets = np.array([[0 <= pixel < n for pixel in stop] for stop in stops])
        assert g.taps_inside(axis, range(len(stops))).tolist() == [run_of(row) for row in meets]
        assert list(map(list, g.positions_inside(axis))) == [run_of(row) for row in meets.T]


def run_of(flags: NDArray[np.bool_]) -> list[int]:
    """Return the first place of a run of true ones and the place behind it."""
    places = np.flatnonzero(flags)
    return [int(places[0]), int(places[-1]) + 1] if len(places) else [0, 0]


def test_offsets_are_64_bit() -> None:
    """Offsets beyond 2³¹ and 2⁴⁰ are exact."""
    assert offsets((2, 2), (2**40, 2**31)).tolist() == [0, 2**31, 2**40, 2**40 + 2**31]
    g = Geometry((2**40, 9), (2, 2), (2**39, 1), NO_PADDING, (2**32, 3))
    assert g.output_shape == (2, 6)
    assert g.position_offsets((9, 1))[-1] == 9 * 2**39 + 5
    assert g.tap_offsets((9, 1))[-1] == 9 * 2**32 + 3


@given(windows())
def test_unpadded_has_the_same_windows(window: Window) -> None:
    """The geometry over the padded image has the same stops and taps, and no padding."""
    g = geometry(window)
    bare = g.unpadded()
    assert not bare.is_padded
    assert (bare.spatial_shape, bare.output_shape, bare.kernel_size) == (g.padded_shape, g.output_shape, g.kernel_size)
    shift = [before for before, _ in g.padding]
    assert bare.pixel(0, g.taps - 1) == tuple(np.add(g.pixel(0, g.taps - 1), shift))


@given(windows())
def test_geometry_is_a_value(window: Window) -> None:
    """Equal numbers make equal, equally hashed objects, whatever their axes are called; pickling keeps them."""
    g = geometry(window)
    twin = geometry(window, axes="ABDE")
    assert g.output_shape == twin.output_shape
    assert {g: 1}[twin] == 1
    assert pickle.loads(pickle.dumps(g)) == g  # noqa: S301 (our own bytes)
    assert replace(g, spatial_shape=tuple(n + 1 for n in g.spatial_shape)) != g


def test_geometry_is_frozen() -> None:
    """No field can be set after the object is made."""
    g = Geometry((5,), (3,), (1,), ((0, 0),), (1,))
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'stride'"):
        g.stride = (2,)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("position", "tap", "message"),
    [
        (-1, 0, "position must be at least 0, got -1"),
        (0, "a", "tap must be an integer, got 'a'"),
        (9, 0, "position counts from 0 and there are 9, so it must be below 9; got 9"),
        (0, 9, "tap counts from 0 and there are 9, so it must be below 9; got 9"),
    ],
)
def test_pixel_refuses_what_is_outside_of_the_matrix(position: Any, tap: Any, message: str) -> None:
    """A position or tap that does not exist has no pixel."""
    with raises_exactly(GeometryError, f"Geometry.pixel: {message}"):
        Geometry((5, 5), (3, 3), (1, 1), NO_PADDING, (1, 1)).pixel(position, tap)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (
            ((5,), (3, 3), (1,), ((0, 0),), (1,)),
            "Geometry: a geometry needs one value for each of its spatial axes, at least one axis; got "
            "((5,), (3, 3), (1,), ((0, 0),), (1,)) for spatial_shape, kernel_size, stride, padding and dilation; "
            "window_geometry takes integers for all axes and padding by name",
        ),
        (
            ((), (), (), (), ()),
            "Geometry: a geometry needs one value for each of its spatial axes, at least one axis; got "
            "((), (), (), (), ()) for spatial_shape, kernel_size, stride, padding and dilation; window_geometry takes "
            "integers for all axes and padding by name",
        ),
        (((-1,), (1,), (1,), ((0, 0),), (1,)), "Geometry: spatial_shape must be at least 0, got -1"),
        (((5,), (0,), (1,), ((0, 0),), (1,)), "Geometry: kernel_size must be at least 1, got 0"),
        (((5,), (3,), (0,), ((0, 0),), (1,)), "Geometry: stride must be at least 1, got 0"),
        (((5,), (3,), (1,), ((0, -2),), (1,)), "Geometry: padding must be at least 0, got -2"),
        (((5,), (3,), (1,), ((0, 0),), (0,)), "Geometry: dilation must be at least 1, got 0"),
        (
            ((9, 5), (3, 3), (1, 1), NO_PADDING, (1, 3)),
            "Geometry: the kernel spans 7 pixels (size 3, dilation 3) but axis 1 of the padded image has 5; pad by at "
            "least 1 on each side or lower the dilation",
        ),
        (
            ((4, 9), (3, 3), (1, 1), NO_PADDING, (2, 1)),
            "Geometry: the kernel spans 5 pixels (size 3, dilation 2) but axis 0 of the padded image has 4; pad by at "
            "least 1 on each side or lower the dilation",
        ),
        (
            ((0, 5), (1, 3), (1, 1), NO_PADDING, (1, 1)),
            "Geometry: axis 0 of the image is empty, so that no window fits; pass an image of at least 1 along it",
        ),
        (
            ((4, 5), (3, 3), (1, 2**40), NO_PADDING, (1, 1)),
            "Geometry: stride 1099511627776 is more than the 5 pixels of axis 1 of the padded image; use at most "
            "2147483647, which steps over all of them",
        ),
    ],
)
def test_geometry_refuses(numbers: tuple[tuple[int, ...], ...], message: str) -> None:
    """A geometry that cannot be is refused when it is made, with the whole reason."""
    with raises_exactly(GeometryError, message):
        Geometry(*numbers)  # type: ignore[arg-type]


def test_geometry_names_the_axis_and_leaves_the_operation_to_its_maker() -> None:
    """The design's own example of an error message."""
    message = (
        "the kernel spans 7 pixels (size 3, dilation 3) but axis H of the padded image has 5; pad by at least 1 on "
        "each side or lower the dilation"
    )
    with raises_exactly(GeometryError, message):
        Geometry((5, 9), (3, 3), (1, 1), NO_PADDING, (3, 3), axes="HW")


def test_geometry_keeps_plain_tuples_of_ints() -> None:
    """Lists and NumPy's integers become tuples of int: small ones would overflow, and lists have no hash."""
    geometry = Geometry([np.uint8(200)], [3], [1], [[np.uint8(100), 0]], [1])  # type: ignore[arg-type]
    assert geometry == Geometry((200,), (3,), (1,), ((100, 0),), (1,))
    assert hash(geometry) == hash(Geometry((200,), (3,), (1,), ((100, 0),), (1,)))
    assert geometry.padded_shape == (300,)


@pytest.mark.parametrize("padding", [((1,),), ((1, 2, 3),)])
def test_geometry_refuses_padding_that_is_no_pair(padding: tuple[tuple[int, ...], ...]) -> None:
    """An entry of padding with one or three sides is refused as everything else is."""
    with pytest.raises(GeometryError, match="padding"):
        Geometry((5,), (3,), (1,), padding, (1,))  # type: ignore[arg-type]


@given(st.integers(1, 4), st.integers(1, 9))
def test_per_axis_spreads_and_keeps(ndim: int, value: int) -> None:
    """A number stands for every axis; sequences and arrays of numbers are kept; all come back as ints."""
    expected = (value,) * ndim
    for spelling in (value, np.uint8(value), np.array(value), expected, list(expected), np.array(expected)):
        result = per_axis("stride", spelling, ndim, minimum=1)
        assert result == expected
        assert {type(v) for v in result} == {int}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2.0, "stride must be an integer or one integer per axis, got 2.0"),
        ("2", "stride must be an integer or one integer per axis, got '2'"),
        (None, "stride must be an integer or one integer per axis, got None"),
        (True, "stride must be an integer or one integer per axis, got True"),
        (np.True_, "stride must be an integer or one integer per axis, got np.True_"),
        ((1, 2.5), "stride must be an integer, got 2.5"),
        (0, "stride must be at least 1, got 0"),
        ((1, -1), "stride must be at least 1, got -1"),
        ((1, 2, 3), "stride has 3 values (1, 2, 3) for 2 spatial axes; give one integer, or 2"),
        ([], "stride has 0 values () for 2 spatial axes; give one integer, or 2"),
    ],
)
def test_per_axis_refuses(value: object, message: str) -> None:
    """What is no integer, or the wrong number of them, is refused with the value received."""
    with raises_exactly(GeometryError, message):
        per_axis("stride", value, ndim=2, minimum=1)


def test_per_axis_speaks_of_one_axis() -> None:
    """The grammar of the message fits a single axis."""
    message = "stride has 2 values (1, 2) for 1 spatial axis; give one integer, or 1"
    with raises_exactly(GeometryError, message):
        per_axis("stride", (1, 2), ndim=1, minimum=1)


def test_integer_refuses_below_the_minimum() -> None:
    """The minimum itself is allowed, one less is not."""
    assert integer("groups", 1, minimum=1) == 1
    with raises_exactly(GeometryError, "groups must be at least 1, got 0"):
        integer("groups", 0, minimum=1)


def test_the_greatest_step() -> None:
    """It steps over every image, and no more than that is asked for."""
    assert Geometry((4,), (1,), (2**31 - 1,), ((0, 0),), (1,)).output_shape == (1,)
