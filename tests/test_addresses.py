"""The index map as addresses: what `im2col` makes of ``np.arange``, and what plain loops step through."""

from __future__ import annotations

import itertools
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import im2col
from im2col import Addresses, ArgumentError, GeometryError, LayoutError, MemoryBudgetError

from .kit.outcomes import raises_exactly
from .kit.strategies import TAP_ORDERS, geometry, windows

if TYPE_CHECKING:
    from im2col.spec.geometry import Geometry

    from .kit.oracles import Window


@st.composite
def images(draw: st.DrawFn) -> tuple[Window, int | None, str | None, Any]:
    """Draw a window, channels, the axes of the image in any order, and an order of taps."""
    window = draw(windows())
    spatial = "".join("ABDEFGH"[: len(window.spatial_shape)])
    channels = draw(st.sampled_from([None, 1, 2, 3]))
    letters = spatial if channels is None else spatial + "C"
    place = draw(st.integers(0, len(letters) - 1))
    layout = letters if channels is None else spatial[:place] + "C" + spatial[place:]
    return window, channels, draw(st.sampled_from([None, layout])), draw(st.sampled_from(TAP_ORDERS))


def addressed(window: Window, channels: int | None, layout: str | None, **options: Any) -> tuple[Addresses, str]:
    """Return addresses, and the layout that they have."""
    found = geometry(window).addresses(channels, layout=layout, **options)
    return found, found.layout


@given(images())
def test_the_matrix_is_im2col_of_a_range(case: tuple[Window, int | None, str | None, Any]) -> None:
    """An image whose pixels are their own addresses; the padding is -1. Rows may be asked for part by part."""
    window, channels, layout, order = case
    found, axes = addressed(window, channels, layout, tap_order=order)
    sizes = dict(zip((a for a in axes if a != "C"), window.spatial_shape, strict=True)) | {"C": channels or 1}
    shape = [sizes[a] for a in axes]
    image = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    expected = im2col.im2col(
        image,
        window.kernel_size,
        stride=window.stride,
        padding=window.padding,
        dilation=window.dilation,
        padding_value=-1,
        layout=axes,
        tap_order=order,
    )
    matrix = found.matrix()
    assert matrix.dtype == np.int64
    np.testing.assert_array_equal(matrix, expected)
    assert found.shape == expected.shape
    middle = found.shape[0] // 2
    np.testing.assert_array_equal(np.concatenate([found.matrix(0, middle), found.matrix(middle)]), expected)


@given(images(), st.data())
def test_addresses_are_steps_from_the_base(
    case: tuple[Window, int | None, str | None, Any], data: st.DataObject
) -> None:
    """Under any strides: what plain loops find in the image is base plus two offsets; the rest is None."""
    window, channels, layout, order = case
    count = channels or 1
    ndim = len(window.spatial_shape)
    strides = data.draw(st.tuples(*[st.integers(0, 1000)] * (ndim + (channels is not None))))
    found, axes = addressed(window, channels, layout, tap_order=order, strides=strides)
    step = dict(zip(axes, strides, strict=True))
    pixel_steps = [step[a] for a in axes if a != "C"]
    taps = list(itertools.product(range(count), np.ndindex(*window.kernel_size)))
    if order == "channel-last":
        taps = [(c, t) for t in np.ndindex(*window.kernel_size) for c in range(count)]
    rows, columns = found.position_offsets, found.tap_offsets
    assert (len(rows), len(columns)) == found.shape
    for position, stop in enumerate(itertools.product(*window.stops)):
        for tap, (c, t) in enumerate(taps):
            pixel = [axis[k] for axis, k in zip(stop, t, strict=True)]
            address = c * step.get("C", 0) + sum(at * by for at, by in zip(pixel, pixel_steps, strict=True))
            assert found.base + rows[position] + columns[tap] == address
            is_inside = all(0 <= at < n for at, n in zip(pixel, window.spatial_shape, strict=True))
            assert found.address(position, tap) == (address if is_inside else None)


def test_bytes_of_any_array() -> None:
    """With ``x.strides`` they are bytes from the array's first pixel: of every third line of a wider image, say."""
    wide = np.arange(12 * 10 * 3, dtype=np.int16).reshape(12, 10, 3)
    x = wide[::3, 2:9]
    found = im2col.window_geometry(x.shape[:2], (2, 3), stride=(1, 2)).addresses(3, layout="HWC", strides=x.strides)
    memory = wide.ravel().view(np.uint8)[2 * 3 * 2 :]
    values = [int(memory[a : a + 2].view(np.int16)[0]) for a in found.matrix().ravel()]
    np.testing.assert_array_equal(
        np.reshape(values, found.shape), im2col.im2col(x, (2, 3), stride=(1, 2), layout="HWC")
    )


def test_they_are_plain_facts() -> None:
    """Equal, hashable, copied by pickle, and small however large the image is."""
    g = im2col.window_geometry((1 << 40, 1 << 20), 3, padding=1)
    found = g.addresses(1 << 10)
    assert found == pickle.loads(pickle.dumps(found)) == g.addresses(1 << 10)  # noqa: S301 (our own)
    assert hash(found) == hash(g.addresses(1 << 10)) != hash(g.addresses(3))
    assert (found.shape, found.base) == ((1 << 60, 9 << 10), -(1 << 20) - 1)
    assert found.address((1 << 60) - 1, (9 << 10) - 5) == (1 << 70) - 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"channels": -1}, GeometryError, "channels must be at least 0, got -1"),
        ({"tap_order": "last"}, ArgumentError, "tap_order must be 'channel-first' or 'channel-last', got 'last'"),
        (
            {"channels": 3, "layout": "NHWC"},
            LayoutError,
            "layout 'NHWC' has a batch but addresses are those of one image; leave N out, and add its stride",
        ),
        (
            {"layout": "HWC"},
            LayoutError,
            "layout 'HWC' has channels but none are given; pass channels=1, or their number",
        ),
        (
            {"channels": 3, "layout": "HW"},
            LayoutError,
            "layout 'HW' has no channels but some are given; name their axis, C",
        ),
        (
            {"channels": 3, "layout": "HWC", "strides": (1, 2)},
            ArgumentError,
            "strides must be one integer for each axis of layout 'HWC', such as (15, 3, 1), got (1, 2)",
        ),
        ({"strides": (1, -2)}, GeometryError, "an entry of strides must be at least 0, got -2"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    """The whole message of each."""
    with raises_exactly(error, f"Geometry.addresses: {message}"):
        im2col.window_geometry((4, 5), 3).addresses(**arguments)


@pytest.mark.parametrize("greatest", [(1 << 62, 1, 1), (1, 1 << 62, 1), (1, 1, 1 << 62), (1, 1, 10**20)])
def test_addresses_beyond_64_bits(greatest: tuple[int, ...]) -> None:
    """They would come round again as others; what just fits is exact, with padding, too."""
    g = im2col.window_geometry((4, 5), (3, 2), padding=1)
    far = g.addresses(3, strides=greatest)
    for name in ("position_offsets", "tap_offsets", "matrix"):
        with pytest.raises(ArgumentError, match=rf"\AAddresses\.{name}: strides .* beyond the {(1 << 63) - 1} that"):
            far.matrix() if name == "matrix" else getattr(far, name)
    for fits in (tuple(min(stride, 1 << 58) for stride in greatest), (1 << 58, 1 << 58, 1 << 58)):
        a = g.addresses(3, strides=fits)
        matrix = a.matrix()
        for at in itertools.product(range(a.shape[0]), range(a.shape[1])):
            found = a.address(*at)
            assert int(matrix[at]) == (-1 if found is None else found)


def test_the_message_of_addresses_beyond_64_bits() -> None:
    """The whole of it."""
    far = im2col.window_geometry((3,), 1).addresses(strides=(1 << 62,))
    assert far.address(2, 0) == 1 << 63
    with raises_exactly(
        ArgumentError,
        "Addresses.matrix: strides (4611686018427387904,) lead up to 9223372036854775808 away, beyond the "
        "9223372036854775807 that 64 bits hold; ask for one address at a time, or pass strides in a larger unit",
    ):
        far.matrix()


def test_entries_that_there_are_not() -> None:
    """Positions, taps and rows beyond the matrix; and a matrix beyond every memory."""
    g: Geometry = im2col.window_geometry((4, 5), 3)
    found = g.addresses(2)
    with raises_exactly(
        GeometryError, "Addresses.address: tap counts from 0 and there are 18, so it must be below 18; got 18"
    ):
        found.address(0, 18)
    with raises_exactly(
        GeometryError, "Addresses.address: position counts from 0 and there are 6, so it must be below 6; got 6"
    ):
        found.address(6, 0)
    with raises_exactly(
        ArgumentError,
        "Addresses.matrix: positions 3 to 7 are not among the 6 that there are; pass first and stop with first <= stop "
        "<= 6",
    ):
        found.matrix(3, 7)
    with raises_exactly(
        MemoryBudgetError,
        "Addresses.matrix: the addresses of 4611686018427387902 positions and 3 taps would take 96.0 EiB, which the "
        "system does not give; pass first and stop, and work on some positions at a time",
    ):
        im2col.window_geometry((1 << 62,), 3).addresses().matrix()
