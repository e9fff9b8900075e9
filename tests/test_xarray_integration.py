"""Labelled arrays: the numbers of plain loops, by names; coordinates as they are written by hand; dask stays lazy."""

from __future__ import annotations

import doctest
import importlib
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import im2col
from im2col import (
    ArgumentError,
    DTypeError,
    GeometryError,
    LayoutError,
    MemoryBudgetError,
    MissingExtraError,
    ShapeError,
    integrations,
)

from .kit.outcomes import raises_exactly, require
from .kit.strategies import PADDING_MODES, PADDING_NAMES, fewer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

PAGE = Path(__file__).parents[1] / "docs/xarray.md"


@pytest.fixture(scope="module")
def xr() -> Any:
    """Return xarray."""
    return require("xarray")


@pytest.fixture(scope="module")
def labelled(xr: Any) -> Iterator[Any]:
    """Return im2col's functions of labelled arrays; dask computes in this thread."""
    assert xr
    import dask

    from im2col.integrations import xarray as functions

    with dask.config.set(scheduler="synchronous"):
        yield functions


def grid(xr: Any, **coords: Any) -> Any:
    """Return an array of 2 times, 6 rows and 8 columns, with coordinates."""
    values = np.random.default_rng(0).integers(-9, 10, (2, 6, 8)).astype(float)
    return xr.DataArray(values, dims=("time", "y", "x"), coords=coords, name="height", attrs={"units": "m"})


def correlated(x: Any, w: Array, windows: Sequence[str], window: dict[str, Any]) -> Any:
    """Return the sums over windows, by plain loops over their taps: `window` has stride, dilation, padding and mode."""
    pads = {dim: window["padding"][i] for i, dim in enumerate(windows)}
    mode = window["mode"]
    padded = np.pad(x.values, [pads.get(dim, (0, 0)) for dim in x.dims], mode=mode)
    total: Any = 0
    for tap in itertools.product(*map(range, w.shape)):
        index = []
        for dim, n in zip(x.dims, padded.shape, strict=True):
            if dim not in windows:
                index.append(slice(None))
                continue
            i = windows.index(dim)
            d, s = window["dilation"][i], window["stride"][i]
            count = (n - d * (w.shape[i] - 1) - 1) // s + 1
            index.append(slice(tap[i] * d, tap[i] * d + (count - 1) * s + 1, s))
        total = total + padded[tuple(index)] * w[tap]
    return total


@st.composite
def cases(draw: Any) -> dict[str, Any]:
    """Draw an array with its dimensions in any order, windows over one or two of them, and chunks."""
    names = draw(st.permutations(["y", "x", "time", "level"]))[: draw(st.integers(2, 4))]
    windows = draw(st.permutations(names))[: draw(st.integers(1, 2))]
    k = len(windows)
    return {
        "sizes": {dim: draw(st.integers(3, 9) if dim in windows else st.integers(1, 3)) for dim in names},
        "windows": tuple(windows),
        "kernel": draw(st.tuples(*[st.integers(1, 3)] * k)),
        "stride": draw(st.tuples(*[st.integers(1, 3)] * k)),
        "dilation": draw(st.tuples(*[st.integers(1, 2)] * k)),
        "padding": draw(st.tuples(*[st.tuples(st.integers(1, 4), st.integers(1, 4))] * k)),
        "mode": draw(st.sampled_from(PADDING_MODES)),
        "chunks": {dim: draw(st.integers(1, 5)) for dim in names} if draw(st.booleans()) else None,
        "seed": draw(st.integers(0, 99)),
    }


def made(xr: Any, case: dict[str, Any]) -> tuple[Any, Array, dict[str, Any]]:
    """Return an array, a kernel, and the arguments by name."""
    rng = np.random.default_rng(case["seed"])
    sizes = case["sizes"]
    x = xr.DataArray(rng.integers(-9, 10, tuple(sizes.values())).astype(float), dims=tuple(sizes))
    x = x.assign_coords({dim: np.arange(n) * 10.0 for dim, n in sizes.items()})
    w = rng.integers(-9, 10, case["kernel"]).astype(float)
    names = case["windows"]
    options = {key: dict(zip(names, case[key], strict=True)) for key in ("stride", "dilation", "padding")}
    return x, w, options | {"padding_mode": case["mode"]}


def centred(case: dict[str, Any], dim: str) -> Array:
    """Return the coordinates of centres along an axis whose pixels lie 10 apart, wherever they are."""
    i = case["windows"].index(dim)
    before, after = case["padding"][i]
    taps = np.arange(case["kernel"][i]) * case["dilation"][i]
    firsts = range(-before, case["sizes"][dim] + after - int(taps[-1]), case["stride"][i])
    return np.array([10 * (first + (taps[0] + taps[-1]) / 2) for first in firsts])


@fewer(2)
@given(case=cases())
def test_every_way_to_slide(xr: Any, labelled: Any, case: dict[str, Any]) -> None:
    """Dimensions in any order, strides, dilations, modes, batches; chunked or not: numbers, order and coordinates."""
    x, w, options = made(xr, case)
    windows = case["windows"]
    given_as = x if case["chunks"] is None else x.chunk(case["chunks"])
    y = labelled.conv(given_as, w, dims=windows, **options)
    expected = correlated(x, w, windows, case)
    assert y.dims == x.dims
    np.testing.assert_array_equal(y.values, expected)
    for dim in x.dims:
        known = centred(case, dim) if dim in windows else x[dim].values
        np.testing.assert_array_equal(y[dim], known)
    named = xr.DataArray(w, dims=windows).transpose(*reversed(windows))
    xr.testing.assert_identical(labelled.conv(given_as, named, **options).compute(), y.compute())


@fewer(2)
@given(case=cases())
def test_patches_of_any_windows(xr: Any, labelled: Any, case: dict[str, Any]) -> None:
    """Their products with a kernel are the convolution; they have its coordinates."""
    x, w, options = made(xr, case)
    given_as = x if case["chunks"] is None else x.chunk(case["chunks"])
    windows = case["windows"]
    found = labelled.patches(given_as, dict(zip(windows, w.shape, strict=True)), **options)
    assert found.dims == (*x.dims, *(f"{dim}_tap" for dim in windows))
    sums = xr.dot(found, xr.DataArray(w, dims=[f"{dim}_tap" for dim in windows])).transpose(*x.dims)
    expected = labelled.conv(x, w, dims=windows, **options)
    np.testing.assert_array_equal(sums.values, expected.values)
    assert sums.coords.to_dataset().identical(expected.coords.to_dataset())


@fewer(2)
@given(case=cases())
def test_pools_of_any_windows(xr: Any, labelled: Any, case: dict[str, Any]) -> None:
    """Those of the patches."""
    x, w, options = made(xr, case)
    del options["padding_mode"]
    options["padding"] = {
        dim: min(before, k // 2)
        for dim, k, (before, _) in zip(case["windows"], case["kernel"], case["padding"], strict=True)
    }
    given_as = x if case["chunks"] is None else x.chunk(case["chunks"])
    taps = [f"{dim}_tap" for dim in case["windows"]]
    sizes = dict(zip(case["windows"], w.shape, strict=True))
    least = labelled.patches(x, sizes, padding_value=-99.0, **options)
    xr.testing.assert_identical(labelled.max_pool(given_as, sizes, **options).compute(), least.max(taps))
    mean = labelled.average_pool(given_as, sizes, **options).compute()
    xr.testing.assert_allclose(mean, labelled.patches(x, sizes, **options).mean(taps), rtol=1e-13)


def test_rolling_gives_the_same(xr: Any, labelled: Any) -> None:
    """Where its windows are whole: numbers, coordinates of every kind, and attributes."""
    x = grid(
        xr,
        time=["a", "b"],
        y=[10.0, 20.0, 40.0, 80.0, 81.0, 85.0],
        x=np.arange("2000-01-01", "2000-01-09", dtype="M8[D]"),
        lat=(("y", "x"), np.random.default_rng(1).random((6, 8))),
        label=("x", list("abcdefgh")),
        run=7,
    )
    w = xr.DataArray(np.arange(15.0).reshape(3, 5), dims=("ky", "kx"))
    rolled = x.rolling(y=3, x=5, center=True).construct(y="ky", x="kx").dot(w).isel(y=slice(1, -1), x=slice(2, -2))
    y = labelled.conv(x, w.values, dims=("y", "x"))
    xr.testing.assert_identical(y.drop_attrs(deep=False), rolled.rename("height").drop_attrs(deep=False))
    assert (y.attrs, y.name) == ({"units": "m"}, "height")


def test_what_keeps_its_size_keeps_its_labels(xr: Any, labelled: Any) -> None:
    """An odd kernel with ``padding="same"``: the same indexes, so that differences are of all pixels."""
    x = grid(xr, x=[3, 1, 4, 15, 9, 2, 6, 5], y=list("abcdef")).stack(place=["time"])
    y = labelled.conv(x, np.ones((3, 5)), dims=("y", "x"), padding="same", padding_mode="reflect")
    assert y.coords.to_dataset().identical(x.coords.to_dataset())
    assert y.indexes["place"].equals(x.indexes["place"])
    assert (x - y).shape == x.shape


def test_coarsen_gives_the_same(xr: Any, labelled: Any) -> None:
    """Of windows side by side over evenly spaced coordinates, or of two pixels."""
    x = grid(xr, y=[0, 1, 2, 3, 4, 5], x=[1.0, 2.0, 4.0, 5.0, 10.0, 12.0, 0.0, 3.0], lat=(("y", "x"), np.ones((6, 8))))
    xr.testing.assert_identical(labelled.max_pool(x, {"y": 3, "x": 2}), x.coarsen(y=3, x=2).max().astype(float))
    xr.testing.assert_allclose(labelled.average_pool(x, 2, dims=("y", "x")), x.coarsen(y=2, x=2).mean())


NEVER = np.array(["NaT", "NaT", "2001-01-01T12"], "M8[s]")
KINDS: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "halfway between numbers": ([0.0, 1, 3, 7], {"size": 2}, [0.5, 2, 5]),
    "of integers": (np.array([200, 100, 5, 7], "u1"), {"size": 2}, [150.0, 52.5, 6.0]),
    "float32 stays": (np.array([0, 1, 3, 7], "f4"), {"size": 2}, np.array([0.5, 2, 5], "f4")),
    "dilated": ([0, 1, 3, 7], {"size": 2, "dilation": 2}, [1, 3]),
    "strided": ([0, 1, 3, 7], {"size": 1, "stride": 3}, [0, 7]),
    "times": (
        np.array(["2000-01-01", "2000-01-02", "2000-01-04", "2000-01-05"], "M8[ns]"),
        {"size": 2},
        np.array(["2000-01-01T12", "2000-01-03", "2000-01-04T12"], "M8[ns]"),
    ),
    "odd seconds": (
        np.array([0, 1, 3, 4], "M8[s]"),
        {"size": 2},
        np.array([500, 2000, 3500], "M8[ms]"),
    ),
    "years that no nanosecond reaches": (
        np.array(["2500-01-01", "2500-01-02", "2500-01-03", "2500-01-05"], "M8[us]"),
        {"size": 2},
        np.array(["2500-01-01T12", "2500-01-02T12", "2500-01-04"], "M8[us]"),
    ),
    "spans of time": (np.array([0, 2, 4, 9], "m8[ns]"), {"size": 2}, np.array([1, 3, 6], "m8[ns]")),
    "odd spans of time": (np.array([1, 3, -5, 2], "m8[ns]"), {"size": 2}, np.array([2, -1, -2], "m8[ns]")),
    "words have no middle": (list("abcd"), {"size": 2}, None),
    "nor has yes or no": ([True, False, True, True], {"size": 2}, None),
    "words under a middle": (list("abcd"), {"size": 3}, list("bc")),
    "padded evenly": ([0.0, 0.5, 1.0, 1.5], {"size": 3, "padding": 2}, [-0.5, 0, 0.5, 1, 1.5, 2.0]),
    "backwards": ([7, 5, 3, 1], {"size": 3, "padding": "full"}, [9, 7, 5, 3, 1, -1]),
    "unsigned": (np.array([0, 1, 2, 3], "u4"), {"size": 3, "padding": 2}, [-1, 0, 1, 2, 3, 4]),
    "padded and halved": ([0.0, 1, 2, 3], {"size": 2, "padding": 1}, [-0.5, 0.5, 1.5, 2.5, 3.5]),
    "causal": ([0, 1, 2, 3], {"size": 3, "padding": "causal"}, [-1, 0, 1, 2]),
    "rounded": (
        np.array([0, 0.1, 0.2, 0.3], "f4"),
        {"size": 3, "padding": 2},
        np.array([-0.1, 0, 0.1, 0.2, 0.3, 0.4], "f4"),
    ),
    "days before and after": (
        np.arange("2000-02-26", "2000-03-01", dtype="M8[D]").astype("M8[ns]")[:4],
        {"size": 3, "padding": 2},
        np.arange("2000-02-25", "2000-03-02", dtype="M8[D]").astype("M8[ns]"),
    ),
    "more digits than a float": (
        np.datetime64("2020-03-01", "ns") + np.arange(4) * 1000001,
        {"size": 7, "padding": 6},
        np.datetime64("2020-03-01", "ns") + np.arange(-3, 7) * 1000001,
    ),
    "thirds of a second": (
        np.array([0, 333333333, 666666666, 1000000000], "M8[ns]"),
        {"size": 3, "padding": 2},
        np.array([-333333333, 0, 333333333, 666666666, 1000000000, 1333333333], "M8[ns]"),
    ),
    "unevenly padded": ([0, 1, 3, 7], {"size": 3, "padding": 2}, None),
    "unevenly padded within": ([0, 1, 3, 7], {"size": 3, "padding": 1}, [0, 1, 3, 7]),
    "months": (np.arange("2000-01", "2000-05", dtype="M8[M]").astype("M8[ns]"), {"size": 3, "padding": 2}, None),
    "padded words": (list("abcd"), {"size": 3, "padding": 2}, None),
    "no number within": ([0.0, np.nan, 2.0, 3.0], {"size": 3, "padding": 2}, None),
    "no time within": (np.array([0, "NaT", 2, 3], "M8[ns]"), {"size": 3, "padding": 2}, None),
    "centuries apart": (
        np.array(["1690-01-01", "2000-01-01", "1800-01-01"], "M8[ns]"),
        {"size": 2},
        np.array(["1845-01-01", "1900-01-01"], "M8[ns]"),
    ),
    "never": (np.array(["2000", "NaT", "2001-01-02", "2001-01-01"], "M8[s]"), {"size": 2}, NEVER),
    "infinities": ([-np.inf, np.inf, np.inf, 0.0], {"size": 2}, [np.nan, np.inf, np.inf]),
    "the end of time": (np.array([0, 1, 2, 3], "M8[ns]") + np.int64(2**63 - 5), {"size": 9, "padding": 8}, None),
    "the largest of all": (np.array([0, 1, 2, 3], "u8") + np.uint64(2**63), {"size": 3, "padding": 2}, None),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("along", ["x", "beside", "plane"])
def test_coordinates(xr: Any, labelled: Any, kind: str, along: str) -> None:
    """Of the dimension itself, beside it, or of several dimensions: as they are written here by hand."""
    given_as, window, expected = KINDS[kind]
    values, options = np.asarray(given_as), {"stride": 1, "dims": "x"} | window
    planes = {"plane": (("y", "x"), np.stack([values, values]))}
    x = xr.DataArray(
        np.ones((2, len(values))), dims=("y", "x"), coords=planes if along == "plane" else {along: ("x", values)}
    )
    y = labelled.max_pool(x, options.pop("size"), **options)
    if expected is None:
        assert along not in y.coords
        return
    expected = np.asarray(expected)
    found = y.coords[along].values
    assert found.dtype == expected.dtype
    wanted = np.stack([expected, expected]) if along == "plane" else expected
    if found.dtype.kind == "f":
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)
    else:
        np.testing.assert_array_equal(found, wanted)
    assert (along in y.indexes) == (along == "x")


def test_other_calendars(xr: Any, labelled: Any) -> None:
    """Times of years of 360 days have middles, and go on evenly, as NumPy's do."""
    cftime = require("cftime")

    def day(month: int, number: int, hour: int = 0) -> Any:
        return cftime.Datetime360Day(2001, month, number, hour)

    times = [day(2, 28), day(2, 29), day(2, 30), day(3, 1)]
    x = xr.DataArray(np.ones(4), dims="time", coords={"time": times, "other": ("time", times)})
    y = labelled.max_pool(x, {"time": 2}, stride=1)
    assert y.time.values.tolist() == [day(2, 28, 12), day(2, 29, 12), day(2, 30, 12)]
    y = labelled.conv(x, np.ones(3), dims="time", padding="full")
    assert y.other.values.tolist() == [day(2, 27), *times, day(3, 2)]
    assert type(y.indexes["time"]) is type(x.indexes["time"])
    uneven = x.assign_coords(time=[*times[:3], day(3, 2)])
    assert list(labelled.conv(uneven, np.ones(3), dims="time", padding="full").coords) == ["other"]


def test_one_pixel_has_no_spacing(xr: Any, labelled: Any) -> None:
    """Outside it nothing is known of coordinates; those of the pixel itself are kept."""
    x = xr.DataArray(np.ones((1, 4)), dims=("y", "x"), coords={"y": [5.0], "x": [1.0, 2, 3, 4]})
    y = labelled.conv(x, np.ones((3, 3)), dims=("y", "x"), padding=2)
    assert list(y.coords) == ["x"]
    assert list(labelled.conv(x, np.ones((3, 3)), dims=("y", "x"), padding=1).coords) == ["y", "x"]


def test_indexes_of_several_levels(xr: Any, labelled: Any) -> None:
    """Are those of the middle pixels, or left out whole."""
    x = grid(xr, y=range(6), time=[1, 2]).stack(place=["time", "y"])
    y = labelled.conv(x, np.ones(3), dims="place")
    assert y.indexes["place"].equals(x.indexes["place"][1:-1])
    assert set(labelled.conv(x, np.ones(2), dims="place").coords) == set()


@pytest.mark.parametrize("padding", PADDING_NAMES)
def test_padding_by_name(xr: Any, labelled: Any, padding: str) -> None:
    """As the function in memory has it; coordinates are as long as the result."""
    x = grid(xr, y=range(6), x=range(8))
    y = labelled.conv(x, np.ones((2, 3)), dims=("y", "x"), padding=padding, stride=(1, 2))
    options: Any = {"layout": "NHW", "padding": padding, "stride": (1, 2)}
    np.testing.assert_array_equal(y, im2col.conv(x.values, np.ones((1, 1, 2, 3)), **options))
    assert (y.sizes["y"], y.sizes["x"]) == (len(y["y"]), len(y["x"]))


@pytest.mark.parametrize("chunked", [False, True])
def test_channels(xr: Any, labelled: Any, chunked: bool) -> None:
    """Their dimension becomes that of the maps, in its place, and is named by whoever knows a name."""
    rng = np.random.default_rng(3)
    x = grid(xr, band=("time", ["red", "blue"])).swap_dims(time="band").transpose("y", "band", "x")
    x = x.chunk(y=2, x=3) if chunked else x
    w = rng.integers(-9, 10, (4, 2, 3, 3)).astype(float)
    expected = np.moveaxis(im2col.conv(x.transpose("band", "y", "x").values, w), 0, 1)
    y = labelled.conv(x, w, np.arange(4.0), dims=("y", "x"), channels="band")
    assert y.dims == ("y", "filter", "x")
    assert set(y.coords) == set()
    np.testing.assert_array_equal(y, expected + np.arange(4.0)[:, None])
    assert labelled.conv(x, w, dims=("y", "x"), channels="band", filters="feature").dims == ("y", "feature", "x")
    named = xr.DataArray(w, dims=("edge", "band", "y", "x"), coords={"edge": list("nesw"), "band": ["red", "blue"]})
    for options in ({"channels": "band"}, {"dims": ("x", "y")}, {"dims": ["y", "x"], "filters": "edge"}):
        y = labelled.conv(x, named.transpose(), **options)
        np.testing.assert_array_equal(y, expected)
        assert (y.dims, list(y.coords)) == (("y", "edge", "x"), ["edge"])
    one = labelled.conv(x, named[1], channels="band")
    assert (one.dims, "band" in one.coords) == (("y", "x"), False)
    np.testing.assert_array_equal(one, expected[:, 1])


def test_channels_are_those_that_weights_are_for(xr: Any, labelled: Any) -> None:
    """Others, or another order, are an error: xarray would look for the same labels."""
    x = grid(xr, time=["a", "b"])
    w = xr.DataArray(np.ones((2, 3)), dims=("time", "x"), coords={"time": ["b", "a"]})
    message = (
        "conv: w has other labels along 'time' than x, or in another order; put them in one order, as in "
        "w.sel({'time': x['time']}), or leave them out, as in w.drop_vars('time')"
    )
    with raises_exactly(ArgumentError, message):
        labelled.conv(x, w, channels="time")
    whole = labelled.conv(x, w.sel({"time": x["time"]}), channels="time")
    xr.testing.assert_identical(labelled.conv(x, w.drop_vars("time"), channels="time"), whole)
    xr.testing.assert_identical(labelled.conv(x.drop_vars("time"), w, channels="time"), whole)


def test_biases_are_for_maps_by_name(xr: Any, labelled: Any) -> None:
    """A DataArray of biases is that of other maps, or in another order, and no slice's."""
    x = grid(xr, time=["a", "b"])
    w = xr.DataArray(np.ones((2, 3)), dims=("edge", "x"), coords={"edge": ["left", "right"]})
    bias = xr.DataArray([1.0, 2.0], dims="edge", coords={"edge": ["right", "left"]})
    message = (
        "conv: bias has other labels along 'edge' than w, or in another order; put them in one order, as in "
        "bias.sel({'edge': w['edge']}), or leave them out, as in bias.drop_vars('edge')"
    )
    with raises_exactly(ArgumentError, message):
        labelled.conv(x, w, bias)
    for fitting in (bias.sel({"edge": w["edge"]}), bias.drop_vars("edge")[::-1], [2.0, 1.0]):
        y = labelled.conv(x, w, fitting) - labelled.conv(x, w)
        np.testing.assert_array_equal(y.sel(edge="left"), np.full((2, 6, 6), 2.0))
        np.testing.assert_array_equal(y.sel(edge="right"), np.full((2, 6, 6), 1.0))
    message = (
        "conv: bias has the dimensions ('time',) but the result's maps lie along 'edge'; name its dimension so, or "
        "pass bias.values"
    )
    with raises_exactly(ArgumentError, message):
        labelled.conv(x, w, x.isel(x=0, y=0))
    each = xr.DataArray([1.0, 2.0], dims="time", coords={"time": ["b", "a"]})
    with pytest.raises(
        ArgumentError, match=r"^conv: bias has other labels along 'time' than x, .* bias.sel\({'time': x\["
    ):
        labelled.conv(x, np.ones((2, 1, 3)), each, dims="x", channels="time", groups=2)


def test_new_names_are_new(xr: Any, labelled: Any) -> None:
    """What x has already, a coordinate or an array of a dataset, is not overwritten in silence."""
    x, w = grid(xr, time=[1, 2], run=7), np.ones((4, 1, 3))
    message = "conv: filters={} of x; give another name to that of the result's maps"
    with raises_exactly(ArgumentError, message.format("'run' is a coordinate")):
        labelled.conv(x, w, dims="x", filters="run")
    data = xr.Dataset({"a": x, "filter": 3, "x_tap": 4})
    with raises_exactly(ArgumentError, message.format("'filter' is an array")):
        labelled.conv(data, w, dims="x")
    assert list(labelled.conv(data, w, dims="x", filters="map")) == ["a", "filter", "x_tap"]
    message = "patches: window_dims must name a new dimension for each of ('x',), none of x's, got {}"
    with raises_exactly(ArgumentError, message.format("('x_tap',)")):
        labelled.patches(data, {"x": 3})
    for name in ("run", ["run"], {"x": "run"}, [["k"]], ("k", "k")):
        with pytest.raises(ArgumentError, match=r"^patches: window_dims must name a new dimension"):
            labelled.patches(x, {"x": 3}, window_dims=name)
    named = xr.DataArray(w[:, 0], dims=("edge", "x"), coords={"time": ("edge", list("nesw"))})
    message = "conv: w has the coordinate 'time', which is a dimension of x; leave it out, as in w.drop_vars('time')"
    with raises_exactly(ArgumentError, message):
        labelled.conv(x, named)
    lost = x.assign_coords(filter=("time", ["red", "blue"]))  # goes with its dimension
    assert labelled.conv(lost, np.ones((4, 2, 3)), dims="x", channels="time").dims == ("filter", "y", "x")


@pytest.mark.parametrize("dims", [("y", "y", "x"), (None, "y", "x")])
@pytest.mark.filterwarnings("ignore:Duplicate dimension names")
def test_dimensions_have_names_of_their_own(xr: Any, labelled: Any, dims: tuple[Any, ...]) -> None:
    """Those of xarray may lack them."""
    x = xr.DataArray(np.ones((4, 4, 5)), dims=dims)
    with pytest.raises(
        ArgumentError, match=r"^conv: each dimension of x must have a name of its own, got .*; name them"
    ):
        labelled.conv(x, np.ones(3), dims="x")
    with pytest.raises(ArgumentError, match=r"^patches: each dimension of x must have a name of its own, got .*; name"):
        labelled.patches(x, {"x": 3})


def test_names_of_any_kind(xr: Any, labelled: Any) -> None:
    """Numbers, nothing, letters that mean a batch, and more of them than there are letters."""
    x = xr.DataArray(np.arange(24.0).reshape(2, 3, 4), dims=(7, "", "N"))
    for windows in ((7, ""), ("N", ""), ("", 7, "N")):
        size = dict.fromkeys(windows, 2)
        expected = im2col.max_pool(x.values, tuple(size.get(dim, 1) for dim in x.dims), stride=1)
        np.testing.assert_array_equal(labelled.max_pool(x, size, stride=1), expected)
    wide = xr.DataArray(np.ones((1,) * 25), dims=[f"d{i}" for i in range(25)])
    assert labelled.max_pool(wide, {"d3": 1}).shape == wide.shape
    with raises_exactly(
        LayoutError, "patches: at most 24 dimensions can be told apart; work on slices along the others"
    ):
        labelled.patches(wide, {"d3": 1})


def test_no_batches(xr: Any, labelled: Any) -> None:
    """Are no windows, of the right shape, and coordinates go on nowhere."""
    x = grid(xr, plane=(("time", "x"), np.ones((2, 8))), when=(("time", "x"), np.zeros((2, 8), "M8[s]")))[:0]
    assert list(labelled.conv(x, np.ones(3), dims="x", padding=2).coords) == []
    assert labelled.conv(x, np.ones(2), dims="x").when.shape == (0, 7)
    assert labelled.conv(x, np.ones((3, 3)), dims=("y", "x")).shape == (0, 4, 6)
    assert labelled.average_pool(x, {"y": 3}).shape == (0, 2, 8)
    found = labelled.patches(x, {"y": 3, "x": 2}, padding=1)
    assert (found.shape, found.dims) == ((0, 6, 9, 3, 2), ("time", "y", "x", "y_tap", "x_tap"))


def test_what_others_hold(xr: Any, labelled: Any) -> None:
    """No pixels in chunks, and units, are told as everywhere."""
    x = grid(xr)
    lazy = x.chunk(time=1)
    with pytest.raises(ShapeError, match=r"^conv: x.data of shape \(0, 6, 8\) has no pixels; compute it"):
        labelled.conv(lazy[:0], np.ones(3), dims="x")
    unknown = xr.DataArray(lazy.data[lazy.data[:, 0, 0] > -99], dims=x.dims)
    with pytest.raises(
        ShapeError, match=r"^conv: x\['a'\].data has chunks .*; call x\['a'\].data.compute_chunk_sizes\(\)"
    ):
        labelled.conv(xr.Dataset({"a": unknown}), np.ones(3), dims="x")
    unknown.data.compute_chunk_sizes()
    assert labelled.conv(unknown, np.ones(3), dims="x").sizes == {"time": 2, "y": 6, "x": 6}
    units = require("pint").UnitRegistry()
    with pytest.raises(DTypeError, match=r"^patches: x\['a'\] has the unit 'meter', which would be lost"):
        labelled.patches(xr.Dataset({"a": x.copy(data=units.Quantity(x.values, "m"))}), {"x": 2})


def test_a_coordinate_is_an_array(xr: Any, labelled: Any) -> None:
    """What is made of it is none."""
    x = grid(xr, x=np.arange(8) ** 2).x
    y = labelled.conv(x, [1.0, -2.0, 1.0], dims="x")
    assert y.values.tolist() == [2] * 6
    assert y.x.values.tolist() == [1, 4, 9, 16, 25, 36]
    assert type(y.variable) is xr.Variable


def test_attributes_are_copies(xr: Any, labelled: Any) -> None:
    """Nobody finds those of the result in the image."""
    x = grid(xr, x=("x", np.arange(8), {"units": "km"}), time=[1, 2])
    for size in (2, 3):
        y = labelled.conv(x, np.ones((size, size)), dims=("y", "x"))
        for each in (y, y.x, y.time):
            each.attrs["new"] = 1
    assert (x.attrs, x.x.attrs, x.time.attrs) == ({"units": "m"}, {"units": "km"}, {})


def test_strides_of_pools(xr: Any, labelled: Any) -> None:
    """Are the windows' sizes where nobody says otherwise."""
    x = grid(xr)
    y = labelled.max_pool(x, {"y": 3, "x": 2}, stride={"x": 1})
    np.testing.assert_array_equal(y, im2col.max_pool(x.values, (3, 2), stride=(3, 1), layout="NHW"))


def test_windows_that_stick_out(xr: Any, labelled: Any) -> None:
    """With ``ceil_mode`` the last has a coordinate, too."""
    x = grid(xr, x=np.arange(8.0), y=[0, 1, 5, 6, 7, 9])
    y = labelled.max_pool(x, {"x": 3, "y": 4}, ceil_mode=True)
    np.testing.assert_array_equal(y, im2col.max_pool(x.values, (4, 3), layout="NHW", ceil_mode=True))
    assert y.x.values.tolist() == [1, 4, 7]
    assert list(y.coords) == ["x"]


@pytest.mark.parametrize("chunked", [False, True])
def test_filters_without_channels(xr: Any, labelled: Any, chunked: bool) -> None:
    """Each reads every slice by itself; the maps stand before the windows."""
    x, w = grid(xr, time=[1, 2]), np.random.default_rng(3).integers(-9, 10, (4, 1, 3, 3)).astype(float)
    x = x.chunk(time=1, x=3) if chunked else x
    y = labelled.conv(x, w, dims=("y", "x"))
    assert y.dims == ("time", "filter", "y", "x")
    np.testing.assert_array_equal(y, im2col.conv(x.values[:, None], w))
    assert list(y.coords) == ["time"]


def test_a_filter_for_each_channel(xr: Any, labelled: Any) -> None:
    """Then channels remain what they are."""
    x, w = grid(xr, time=[1, 2]), np.random.default_rng(3).integers(-9, 10, (2, 1, 3, 3)).astype(float)
    y = labelled.conv(x, w, dims=("y", "x"), channels="time", groups=2)
    assert (y.dims, list(y.coords)) == (x.dims, ["time"])
    np.testing.assert_array_equal(y, im2col.conv(x.values, w, groups=2))
    more = labelled.conv(x, np.repeat(w, 2, 0), dims=("y", "x"), channels="time", filters="time", groups=2)
    assert (more.sizes["time"], list(more.coords)) == (4, [])


def test_attributes_follow_the_option(xr: Any, labelled: Any) -> None:
    """Of xarray; coordinates keep theirs."""
    x = grid(xr, x=("x", np.arange(8), {"units": "km"}))
    with xr.set_options(keep_attrs=False):
        y = labelled.conv(x, np.ones((2, 2)), dims=("y", "x"))
    assert (y.attrs, y.x.attrs) == ({}, {"units": "km"})
    x.encoding = {"scale_factor": 0.1, "dtype": "i2"}
    for size in (2, 3):
        assert labelled.conv(x, np.ones((size, size)), dims=("y", "x")).encoding == {}
    data = xr.Dataset({"a": x}, attrs={"title": "t"})
    assert labelled.max_pool(data, {"x": 2}).attrs == {"title": "t"}
    with xr.set_options(keep_attrs=False):
        assert labelled.max_pool(data, {"x": 2}).attrs == {}


def test_datasets_go_array_by_array(xr: Any, labelled: Any) -> None:
    """What has none of the dimensions stays; what has some of them is an error, as is a dataset without any."""
    x = grid(xr, x=np.arange(8.0), y=np.arange(6.0), time=[1, 2])
    data = xr.Dataset({"a": x, "b": x[0].T.astype("f4"), "c": ("time", [3, 4])}, attrs={"title": "t"})
    y = labelled.conv(data, np.ones((3, 3)), dims=("y", "x"))
    assert list(y) == ["a", "b", "c"]
    xr.testing.assert_identical(y["a"], labelled.conv(x, np.ones((3, 3)), dims=("y", "x")).rename("a"))
    assert y["b"].dims == ("x", "y")
    assert y["c"].identical(data["c"])
    assert y.attrs == {"title": "t"}
    message = "max_pool: x['d'] has the dimensions ('y',) but not 'x'; leave it out, as in x.drop_vars('d')"
    with raises_exactly(ArgumentError, message):
        labelled.max_pool(data.assign(d=("y", np.ones(6))), 2, dims=("y", "x"))
    with raises_exactly(ArgumentError, "max_pool: no array of x has the dimensions ('y',); its arrays have ('time',)"):
        labelled.max_pool(data[["c"]].assign_coords(y=np.ones(6)), {"y": 2})
    with pytest.raises(DTypeError, match=r"^patches: x\['s'\] has dtype <U1, which is not a number"):
        labelled.patches(data.assign(s=(("y", "x"), np.full((6, 8), "s"))), {"y": 2})


def test_patches_are_views(xr: Any, labelled: Any) -> None:
    """As those of `im2col.patches`; their own dimensions are named."""
    x = grid(xr)
    found = labelled.patches(x, (2, 3), dims=("y", "x"), window_dims=("ky", "kx"))
    assert found.dims == ("time", "y", "x", "ky", "kx")
    assert np.shares_memory(found.values, x.values)
    assert labelled.patches(x, {"y": 2, "x": 3}, window_dims={"x": "kx"}).dims[3:] == ("y_tap", "kx")
    assert labelled.patches(x, 2, dims="x", window_dims="k").dims[3:] == ("k",)


def test_dask_arrays_stay_lazy(xr: Any, labelled: Any) -> None:
    """Nothing is computed before it is asked for; batches are chunked as they were, and the graph grows with them."""
    dask = require("dask.array")

    def failing(_: Array) -> Array:
        raise AssertionError("computed")

    source = dask.ones((4, 3, 20, 30), chunks=(2, 1, 7, 11)).map_blocks(failing, dtype="f4", meta=np.empty(0, "f4"))
    x = xr.DataArray(source, dims=("time", "level", "y", "x"), coords={"lat": (("y", "x"), dask.ones((20, 30)))})
    y = labelled.conv(x, np.ones((3, 3), "f4"), dims=("y", "x"), padding="same")
    y = labelled.max_pool(labelled.average_pool(y, {"y": 2, "x": 2}), 3, dims=("level", "x"), stride=1)
    y = labelled.patches(y, {"y": 2})
    assert y.chunks[0] == (2, 2)
    assert y.dtype == np.float32
    assert len(y.__dask_graph__()) < 60 * source.npartitions
    with pytest.raises(AssertionError, match="computed"):
        y.compute()


def test_dask_gives_the_bits_of_the_whole(xr: Any, labelled: Any) -> None:
    """With ``chunked=True``, whatever the chunks and however many batches."""
    x = xr.DataArray(
        np.random.default_rng(5).standard_normal((3, 4, 17, 19)).astype("f4"), dims=("time", "y", "level", "x")
    )
    w = np.random.default_rng(6).standard_normal((3, 3)).astype("f4")
    whole = labelled.conv(x, w, dims=("level", "x"), padding=1, chunked=True)
    for chunks in ((1, 3, 5, 19), (2, 2, 17, 4)):
        lazy = labelled.conv(x.chunk(dict(zip(x.dims, chunks, strict=True))), w, dims=("level", "x"), padding=1)
        assert lazy.chunks is not None
        assert lazy.values.tobytes() == whole.values.tobytes()


def test_dask_arrays_with_axes_of_length_one(xr: Any, labelled: Any) -> None:
    """Wherever they lie, among the batches and under the windows: sums are NumPy's, and batches keep their chunks."""
    w = np.array([[1.0, 2.0], [4.0, 8.0]])
    for shape in itertools.product((1, 3), repeat=4):
        pixels = np.arange(float(np.prod(shape))).reshape(shape)
        padded = np.pad(pixels, ((0, 0), (0, 0), (0, 1), (0, 1)))
        expected = np.einsum(
            "abyxkl,kl->abyx", np.lib.stride_tricks.sliding_window_view(padded, (2, 2), axis=(2, 3)), w
        )
        for dims in itertools.permutations("abyx"):
            x = xr.DataArray(pixels, dims=tuple("abyx")).transpose(*dims).chunk(2)
            y = labelled.conv(x, w, dims=("y", "x"), padding=((0, 1), (0, 1)), algorithm="reference")
            assert y.dims == dims
            assert y.chunks[dims.index("a")] == x.chunks[dims.index("a")]
            np.testing.assert_array_equal(y.transpose(*"abyx").values, expected)


def test_files_are_not_read_unasked(xr: Any, labelled: Any, tmp_path: Path) -> None:
    """An array that a file backs is refused with its size and the way out, by every function."""
    scipy = require("scipy.io")
    with scipy.netcdf_file(tmp_path / "x.nc", "w") as file:
        file.createDimension("x", 9)
        file.createVariable("t", "f4", ("x",))[:] = np.arange(9)
    with xr.open_dataset(tmp_path / "x.nc", engine="scipy") as data:
        message = (
            "max_pool: x['t'], (9,) of float32 (36 B), is not in memory, and is not read whole unasked; call "
            "x['t'].load() first, or x['t'].chunk(), so that dask reads it in chunks"
        )
        with raises_exactly(MemoryBudgetError, message):
            labelled.max_pool(data, {"x": 3})
        with pytest.raises(MemoryBudgetError, match=r"give it to im2col.integrations.xarray, or pass np.asarray\(x\)"):
            im2col.max_pool(data["t"], (3,))
        lazy = labelled.max_pool(data.chunk(x=4), {"x": 3})
        assert lazy["t"].values.tolist() == [2, 5, 8]


X, W = ("time", "y", "x"), np.ones((3, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda f, x: f.conv(x.values, W, dims=("y", "x")),
            ArgumentError,
            None,
        ),
        (
            lambda f, x: f.conv(x, W),
            ArgumentError,
            f"conv: dims must name a dimension of x, {X}, for each axis of the kernel; or pass w as a DataArray with "
            "such dimensions",
        ),
        (
            lambda f, x: f.conv(x, W, dims=("y", "lon")),
            ArgumentError,
            f"conv: dims has 'lon' but the dimensions of x are {X}; name those",
        ),
        (
            lambda f, x: f.conv(x, W, dims=("y", "y")),
            ArgumentError,
            "conv: dims must name dimensions of x, each once, got ('y', 'y')",
        ),
        (
            lambda f, x: f.conv(x, W, dims=({"y"}, "x")),
            ArgumentError,
            "conv: dims must name dimensions of x, each once, got ({'y'}, 'x')",
        ),
        (
            lambda f, x: f.conv(x, W, dims=("y", "x"), channels="band"),
            ArgumentError,
            f"conv: channels has 'band' but the dimensions of x are {X}; name those",
        ),
        (
            lambda f, x: f.conv(x, W, dims="x"),
            ShapeError,
            "conv: w must be a plain kernel of 1 axes, or (filters, channels/groups, *kernel), 3 axes, for "
            "dims=('x',); got w of shape (3, 3)",
        ),
        (
            lambda f, x: f.conv(x, np.ones((4, 2, 3, 3)), dims=("y", "x")),
            ShapeError,
            "conv: w of shape (4, 2, 3, 3) reads 2 channels; name the dimension of x that has them with channels=",
        ),
        (
            lambda f, x: f.conv(x, np.ones((4, 2, 3, 3)), dims=("y", "x"), channels="time", filters="y"),
            ArgumentError,
            "conv: filters='y' is a dimension of x; give another name to that of the result's maps",
        ),
        (
            lambda f, x: f.conv(x, x.isel(time=0).rename(y="ky", x="kx"), dims=("y", "x")),
            ArgumentError,
            f"conv: w has the dimensions ('ky', 'kx'), x {X}; w must have those that windows slide along (dims), that "
            "of the channels if it sums over them (channels), and at most one that x lacks (filters); or pass "
            "w.values, and dims",
        ),
        (
            lambda f, x: f.conv(x, W, dims=("y", "x"), stride={"z": 2}),
            ArgumentError,
            "conv: stride has a value for 'z' but windows slide along ('y', 'x'); give values for those",
        ),
        (
            lambda f, x: f.conv(x, np.ones((4, 1, 3, 3)), dims=("y", "x"), channels="x"),
            ArgumentError,
            "conv: channels='x' is one of dims=('y', 'x'); leave it out of those, or name the one that filters sum "
            "over",
        ),
        (
            lambda f, x: f.conv(x, np.ones((4, 1, 3, 3)), dims=("y", "x"), filters=["edge"]),
            ArgumentError,
            "conv: filters must name a dimension, got ['edge']; pass a name, as in 'edge'",
        ),
        (
            lambda f, x: f.conv(x, np.ones((2, 1, 3, 3)), dims=("y", "x"), groups=2),
            ArgumentError,
            "conv: groups=2 divide channels; name the dimension of x that has them with channels=",
        ),
        (
            lambda f, x: f.conv(x, W, dims=("y", "x"), padding_mode=("wrap", "edge")),
            ArgumentError,
            "conv: padding_mode is one name for all dimensions, or a mapping by their names such as {'x': 'wrap'}; got "
            "('wrap', 'edge')",
        ),
        (
            lambda f, x: f.patches(x.rename(y="lat", x="lon"), {"lat": 3, "lon": 9}),
            GeometryError,
            "patches: the kernel spans 9 pixels (size 9, dilation 1) but axis 'lon' of the padded image has 8; pad by "
            "at least 1 on each side or use a smaller kernel",
        ),
        (
            lambda f, x: f.conv(x, np.ones((3, 9)), dims=("y", "x")),
            GeometryError,
            None,
        ),
        (
            lambda f, x: f.max_pool(x, 3),
            ArgumentError,
            f"max_pool: dims must name the dimensions of x, {X}, that windows slide along; or pass their sizes by "
            "name, as in {'x': 3}",
        ),
        (
            lambda f, x: f.patches(x, {"x": 2}, window_dims="y"),
            ArgumentError,
            "patches: window_dims must name a new dimension for each of ('x',), none of x's, got 'y'",
        ),
        (lambda f, x: f.patches(x, {"x": 2}, window_dims={"z": "k"}), ArgumentError, None),
        (lambda f, x: f.max_pool(x, {"x": 0}), GeometryError, None),
        (lambda f, x: f.conv(x, W, dims=("y", "x"), padding_mode={"x": "circular"}), ArgumentError, None),
    ],
)
def test_what_is_wrong_is_said(xr: Any, labelled: Any, call: Any, error: Any, message: str | None) -> None:
    """By the names of dimensions; axes of messages are their first letters."""
    x = grid(xr)
    if message is None:
        with pytest.raises(error, match=r"^(conv|patches|max_pool): "):
            call(labelled, x)
    else:
        with raises_exactly(error, message):
            call(labelled, x)
    with pytest.raises(GeometryError, match=r"^conv: the kernel spans 9 pixels \(size 9, dilation 1\) but axis 'x' of"):
        labelled.conv(x, np.ones(9), dims="x")
    with pytest.raises(TypeError, match="unexpected keyword argument 'layout'"):
        labelled.conv(x, W, dims=("y", "x"), layout="NHW")
    with pytest.raises(AttributeError, match="has no attribute 'lp_pool'"):
        _ = labelled.lp_pool


def test_without_xarray(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra."""
    package = "im2col.integrations.xarray"
    for name in [each for each in sys.modules if each.startswith(package)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(integrations, "xarray", None, raising=False)
    monkeypatch.setitem(sys.modules, "xarray", None)
    functions = importlib.import_module(package)
    with raises_exactly(MissingExtraError, "this needs xarray; install it with pip install 'im2col[xarray]'"):
        _ = functions.conv


def test_the_page_runs(labelled: Any) -> None:
    """Every example gives what it prints."""
    assert labelled
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, optionflags=flags)
    assert failed == 0
    assert tried > 10
