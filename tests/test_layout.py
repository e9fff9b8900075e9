"""Axis strings: parsing, defaults, and moving axes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from im2col.errors import LayoutError
from im2col.spec import layout

from .kit.outcomes import raises_exactly
from .kit.strategies import EVERY_2D_LAYOUT, layouts


@pytest.mark.parametrize("axes", EVERY_2D_LAYOUT)
def test_every_order_of_axes_is_a_layout(axes: str) -> None:
    """N and C are what they are anywhere in the string; all other axes are spatial, in the order written."""
    parsed = layout.parse(axes)
    assert parsed.axes == axes
    assert parsed.has_batch == ("N" in axes)
    assert parsed.has_channels == ("C" in axes)
    assert parsed.spatial == axes.replace("N", "").replace("C", "")
    assert parsed.canonical == ("N" if "N" in axes else "") + ("C" if "C" in axes else "") + parsed.spatial


@given(st.integers(1, 4).flatmap(layouts))
def test_to_canonical_moves_every_axis(axes: str) -> None:
    """The canonical view has each axis where it belongs, 1 where the image lacks it, and shares the memory."""
    parsed = layout.parse(axes)
    lengths = {axis: i + 2 for i, axis in enumerate(sorted(axes))}
    shape = tuple(lengths[a] for a in axes)
    x = np.arange(np.prod(shape)).reshape(shape)
    canonical = parsed.to_canonical(x)
    spatial = [lengths[a] for a in parsed.spatial]
    assert canonical.shape == (lengths.get("N", 1), lengths.get("C", 1), *spatial)
    assert np.shares_memory(canonical, x)
    at = {axis: n - 1 - (axis == "C") for axis, n in lengths.items()}
    index = (at.get("N", 0), at.get("C", 0), *(at[a] for a in parsed.spatial))
    assert canonical[index] == x[tuple(at[a] for a in axes)]


@pytest.mark.parametrize(("axes", "same"), [("NCHW", True), ("NCW", True), ("NHWC", False), ("CHW", False)])
def test_what_is_canonical_stays_as_it_is(axes: str, same: bool) -> None:
    """An array whose axes are (N, C, *spatial) already is returned itself."""
    x = np.empty((2,) * len(axes))
    assert (layout.parse(axes).to_canonical(x) is x) is same


@given(st.integers(1, 4).flatmap(layouts))
def test_sizes_by_axis(axes: str) -> None:
    """`size`, `spatial_shape` and `from_canonical_shape` agree on which length is whose."""
    parsed = layout.parse(axes)
    shape = tuple(range(2, 2 + len(axes)))
    batch, channels, spatial = parsed.size("N", shape), parsed.size("C", shape), parsed.spatial_shape(shape)
    assert batch == (shape[axes.index("N")] if "N" in axes else 1)
    assert spatial == tuple(n for a, n in zip(axes, shape, strict=True) if a in parsed.spatial)
    assert parsed.from_canonical_shape(batch, channels, spatial) == shape


@pytest.mark.parametrize(
    ("array_ndim", "spatial_ndim", "axes"),
    [
        (1, 1, "W"),
        (2, 1, "CW"),
        (3, 1, "NCW"),
        (2, 2, "HW"),
        (3, 2, "CHW"),
        (4, 2, "NCHW"),
        (3, 3, "DHW"),
        (4, 3, "CDHW"),
        (5, 3, "NCDHW"),
    ],
)
def test_default_layout(array_ndim: int, spatial_ndim: int, axes: str) -> None:
    """One more axis than spatial ones is the channels, one more still the batch."""
    assert layout.resolve(None, array_ndim, spatial_ndim) == layout.parse(axes)


def test_default_layout_of_many_axes() -> None:
    """More than three spatial axes have names too, none of them N or C, none twice."""
    axes = layout.default(26, 24).axes
    assert axes[:2] == "NC"
    assert len(set(axes)) == 26


@pytest.mark.parametrize("axes", ["", "NC", "NCHH", "nchw", "NC HW", "N1HW", "ÄÖ", 7, None])
def test_parse_refuses(axes: object) -> None:
    """Repeated, lower-case and missing letters are refused, and what is no string."""
    message = (
        "layout must be distinct capital letters, N for the batch, C for the channels and at least one spatial axis, "
        f"such as 'NCHW' or 'HW'; got {axes!r}"
    )
    with raises_exactly(LayoutError, message):
        layout.parse(axes)


@pytest.mark.parametrize("axes", [["H", "W"], {"H": 0}, np.array(["H", "W"])])
def test_parse_refuses_what_cannot_be_hashed(axes: object) -> None:
    """A list of letters is refused as other wrong layouts are, not by the cache."""
    with pytest.raises(LayoutError, match="layout must be distinct capital letters"):
        layout.resolve(axes, 2, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("axes", "array_ndim", "spatial_ndim", "message"),
    [
        (
            None,
            1,
            2,
            "an image with 2 spatial axes has 2 (plain), 3 (with channels) or 4 (with a batch) axes, got an array of "
            "1; pass an image of that many axes, or name its axes with layout=",
        ),
        (
            None,
            4,
            1,
            "an image with 1 spatial axis has 1 (plain), 2 (with channels) or 3 (with a batch) axes, got an array of "
            "4; pass an image of that many axes, or name its axes with layout=",
        ),
        ("NCHW", 3, 2, "layout 'NCHW' names 4 axes but the image has 3; name each axis once"),
        (
            "NHWC",
            4,
            3,
            "layout 'NHWC' has 2 spatial axes (HW) but the kernel has 3; give the kernel one size for each spatial "
            "axis",
        ),
    ],
)
def test_resolve_refuses(axes: str | None, array_ndim: int, spatial_ndim: int, message: str) -> None:
    """A layout that does not fit the image or the kernel is refused, and an image that no layout fits."""
    with raises_exactly(LayoutError, message):
        layout.resolve(axes, array_ndim, spatial_ndim)
