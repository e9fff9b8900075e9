"""Arrays in, arrays out: what is taken as an image, and what as `out`."""

from __future__ import annotations

import array
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from PIL import Image

import im2col
from im2col.errors import DTypeError, LayoutError, MemoryBudgetError, OutputError
from im2col.spec import arrays

from .kit.outcomes import raises_exactly, require
from .kit.strategies import DTYPES, MEMORY_ORDERS, numbers

if TYPE_CHECKING:
    from pathlib import Path


class Tensor:
    """Another library's array on the CPU, which speaks DLPack and nothing else."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def __dlpack__(self, **keywords: Any) -> Any:
        return self._values.__dlpack__(**keywords)

    def __dlpack_device__(self) -> Any:
        return self._values.__dlpack_device__()


class Remote(Tensor):
    """An array in memory that NumPy cannot reach."""

    def __dlpack__(self, **keywords: Any) -> Any:
        raise BufferError("the data is on the moon")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("order", MEMORY_ORDERS)
def test_arrays_are_taken_as_they_are(dtype: np.dtype[Any], order: str) -> None:
    """An ndarray of any numeric dtype and memory order is returned itself."""
    x = MEMORY_ORDERS[order](numbers((3, 4), dtype, seed=0))
    assert arrays.as_array("x", x) is x


def test_nested_lists_and_buffers_are_taken() -> None:
    """Lists become arrays; a buffer is not copied."""
    np.testing.assert_array_equal(arrays.as_array("x", [[1, 2], [3, 4]]), [[1, 2], [3, 4]])
    assert arrays.as_array("x", 1.5).shape == ()
    buffer = array.array("d", [1, 2, 3])
    assert np.shares_memory(arrays.as_array("x", buffer), np.asarray(buffer))


def test_dlpack_objects_are_taken_without_a_copy() -> None:
    """An object that speaks only DLPack shares its memory."""
    values = np.arange(6.0).reshape(2, 3)
    result = arrays.as_array("x", Tensor(values))
    assert np.shares_memory(result, values)
    np.testing.assert_array_equal(result, values)


def test_subclasses_lose_their_class() -> None:
    """np.matrix and np.memmap come as plain arrays over the same memory."""
    plain = np.arange(6.0).reshape(2, 3)
    result = arrays.as_array("x", plain.view(np.memmap))
    assert type(result) is np.ndarray
    assert np.shares_memory(result, plain)


def test_torch_tensors_are_taken_without_a_copy(torch: Any) -> None:
    """A CPU tensor shares its memory."""
    tensor = torch.arange(6.0).reshape(2, 3)
    result = arrays.as_array("x", tensor)
    tensor[1, 2] = 50
    assert result[1, 2] == 50


def test_masked_arrays_are_refused() -> None:
    """A mask would be lost without a word."""
    message = "x is a masked array, whose mask would be lost; fill it first, as in x.filled(0)"
    with raises_exactly(DTypeError, message):
        arrays.as_array("x", np.ma.masked_array([1, 2], [True, False]))


def stored_by(package: str, folder: Path) -> tuple[Any, str]:
    """Return an array of 2 × 3 that is not in memory, and what it is called."""
    module, values = require(package), np.arange(6.0).reshape(2, 3)
    if package == "dask.array":
        return module.from_array(values, chunks=2), "dask Array"
    if package == "h5py":
        return module.File(folder / "x.h5", "w").create_dataset("x", data=values), "h5py Dataset"
    if package == "zarr":
        x = module.open(folder / "x.zarr", mode="w", shape=values.shape, dtype=values.dtype, chunks=(1, 3))
        x[...] = values
        return x, "zarr Array"
    return module.DataArray(require("dask.array").from_array(values, chunks=2)), "xarray DataArray"


@pytest.mark.wide
@pytest.mark.parametrize("package", ["dask.array", "h5py", "zarr", "xarray"])
def test_what_is_not_in_memory_is_not_read(package: str, tmp_path: Path) -> None:
    """Whatever its size: the error says what it is, how large, and how to read it."""
    x, name = stored_by(package, tmp_path)
    door = "xarray" if package == "xarray" else "dask"
    message = (
        f"x is the {name} (2, 3) of float64 (48 B), which is not in memory, and is not read or computed whole unasked; "
        f"pass a part of it, give it to im2col.integrations.{door}, or pass np.asarray(x)"
    )
    with raises_exactly(MemoryBudgetError, message):
        arrays.as_array("x", x)
    assert arrays.as_array("x", np.asarray(x)).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.wide
def test_what_is_larger_than_any_memory_is_not_asked_for(tmp_path: Path) -> None:
    """An array of Zarr of which nothing has been written yet takes no place on the disk."""
    x = require("zarr").open(tmp_path, mode="w", shape=(1 << 20, 1 << 20), dtype="f4", chunks=(1 << 10, 1 << 10))
    with pytest.raises(
        MemoryBudgetError, match=r"^conv2d: x is the zarr Array \(1048576, 1048576\) of float32 \(4.0 TiB\), "
    ):
        im2col.conv2d(x, np.ones((3, 3)))


@pytest.mark.wide
def test_labelled_arrays_in_memory_are_taken() -> None:
    """Those of xarray, and the tables of pandas; no file is behind them."""
    values = np.arange(6.0).reshape(2, 3)
    for x in (require("xarray").DataArray(values, dims=("y", "x")), require("pandas").DataFrame(values)):
        np.testing.assert_array_equal(arrays.as_array("x", x), values)
    assert arrays.as_array("x", require("pandas").Series([1, 2, None])).shape == (3,)


@pytest.mark.wide
@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["Int64", "Int64"], "i8"),
        (["UInt8"], "u1"),
        (["Int8", "Int16"], "i2"),
        (["Float32", "Float32"], "f4"),
        (["Float64", "Int64"], "f8"),
        (["boolean", "boolean"], "?"),
        (["boolean", "Int32"], "i4"),
        (["Int64", "float64"], "f8"),
        (["float32", "Float32"], "f4"),
    ],
)
def test_numbers_of_pandas_that_could_be_missing_are_numbers(kinds: list[str], expected: str) -> None:
    """Tables of them would be arrays of objects: the dtype is that to which NumPy promotes theirs."""
    pandas = require("pandas")
    numbers = np.array([[1, 0], [0, 1], [1, 1]])[:, : len(kinds)]
    table = pandas.DataFrame({str(i): pandas.array(numbers[:, i], dtype=kind) for i, kind in enumerate(kinds)})
    found = arrays.as_array("x", table)
    assert found.dtype == np.dtype(expected)
    np.testing.assert_array_equal(found, numbers)
    column = table["0"]
    plain = np.dtype(kinds[0].lower() if kinds[0] != "boolean" else bool)
    for one in (column, column.array, pandas.Index(column)):
        assert arrays.as_array("x", one).dtype == plain
        np.testing.assert_array_equal(arrays.as_array("x", one), numbers[:, 0])
    np.testing.assert_array_equal(im2col.im2col(table, 1), im2col.im2col(numbers.astype(expected), 1))


@pytest.mark.wide
def test_numbers_beyond_floats_are_not_rounded_on_their_way_from_pandas() -> None:
    """Those of 64 bits, of which float64 has not all."""
    pandas = require("pandas")
    table = pandas.DataFrame({"a": [2**53 + 1, -(2**62) - 1], "b": [2**62 + 1, 3]}, dtype="Int64")
    np.testing.assert_array_equal(arrays.as_array("x", table), [[2**53 + 1, 2**62 + 1], [-(2**62) - 1, 3]])


@pytest.mark.wide
@pytest.mark.parametrize("kind", ["Int64", "UInt8", "Float32", "boolean"])
@pytest.mark.parametrize("form", ["table", "column", "array"])
def test_missing_numbers_of_pandas_are_refused(kind: str, form: str) -> None:
    """NaN would stand for them, without a word; the NaN of plain columns is a number. The way out is one."""
    pandas = require("pandas")
    x = pandas.array([1, None, 1, None], dtype=kind)
    if form == "table":
        x = pandas.DataFrame({"a": [np.nan, 2.0, 3.0, 4.0], "b": x})
    elif form == "column":
        x = pandas.Series(x)
    message = "x misses 2 of its numbers (pandas.NA); say what stands for them, as in x.to_numpy(float, na_value=0)"
    with raises_exactly(DTypeError, message):
        arrays.as_array("x", x)
    filled = arrays.as_array("x", x.to_numpy(float, na_value=0))
    np.testing.assert_array_equal(filled[:, 1] if form == "table" else filled, [1, 0, 1, 0])


@pytest.mark.wide
def test_words_and_times_of_pandas_are_refused_as_before() -> None:
    """Beside numbers that could be missing, too."""
    pandas = require("pandas")
    numbers = pandas.array([1, 2], dtype="Int64")
    for other in (["a", "b"], pandas.to_datetime(["2020-01-01", "2020-01-02"])):
        with pytest.raises(DTypeError, match=r"^x has dtype object, which is not a number; "):
            arrays.as_array("x", pandas.DataFrame({"a": numbers, "b": other}))


class Stored:
    """An array that lies elsewhere, and counts how often it is read."""

    dtype = np.dtype("f4")

    def __init__(self, shape: tuple[int, ...], **more: Any) -> None:
        self.shape, self.reads = shape, 0
        self.__dict__.update(more)

    def __array__(self, *_: Any, **__: Any) -> np.ndarray[Any, Any]:
        self.reads += 1
        return np.ones(self.shape, self.dtype)


@pytest.mark.parametrize("sign", ["chunks", "chunking", "chunk_layout"])
def test_what_has_chunks_is_not_read(sign: str) -> None:
    """By all packages that keep arrays in pieces; without them an object is converted, and once."""
    stored, other = Stored((1 << 30, 1 << 30), **{sign: None}), Stored((3, 3))
    with pytest.raises(MemoryBudgetError, match=r"^im2col: x is the .* Stored \(1073741824, 1073741824\) of float32 "):
        im2col.im2col(stored, 2)
    assert stored.reads == 0
    assert im2col.conv2d(other, np.ones((2, 2))).shape == (2, 2)
    assert other.reads == 1


@pytest.mark.wide
def test_units_are_not_lost() -> None:
    """They would be, without a word."""
    x = require("pint").UnitRegistry().Quantity(np.ones((3, 3)), "metre")
    with raises_exactly(DTypeError, "x has the unit 'meter', which would be lost; pass its numbers, as in x.magnitude"):
        arrays.as_array("x", x)
    assert arrays.as_array("x", x.magnitude).shape == (3, 3)
    named = require("xarray").DataArray(x, dims=("y", "x"))
    message = "x has the unit 'meter', which would be lost; pass its numbers, as in x.data.magnitude"
    with raises_exactly(DTypeError, message):
        arrays.as_array("x", named)
    assert arrays.as_array("x", named.data.magnitude).shape == (3, 3)


class Measured:
    """Numbers of which a column of a table, as astropy has them, may know a unit."""

    value = np.ones((3, 3))

    def __init__(self, unit: Any) -> None:
        self._unit = unit

    @property
    def unit(self) -> Any:
        if isinstance(self._unit, Exception):
            raise self._unit
        return self._unit

    def __array__(self, *_: Any, **__: Any) -> np.ndarray[Any, Any]:
        return self.value


@pytest.mark.parametrize("unit", [None, ValueError("no unit")])
def test_what_has_no_unit_loses_none(unit: Any) -> None:
    """An array that could have one is taken; an error of its own is nobody's here."""
    assert arrays.as_array("x", Measured(unit)).shape == (3, 3)
    with raises_exactly(DTypeError, "x has the unit 'm', which would be lost; pass its numbers, as in x.value"):
        arrays.as_array("x", Measured("m"))


def test_groups_of_arrays_are_no_arrays(tmp_path: Path) -> None:
    """NumPy would take the names for numbers, or an object: archives of NumPy, and what maps names to arrays."""
    np.savez(tmp_path / "x.npz", a=np.ones((3, 3)))
    with np.load(tmp_path / "x.npz") as archive:
        message = "x is the numpy NpzFile, which holds arrays by their names; pass one of them"
        with raises_exactly(DTypeError, message):
            arrays.as_array("x", archive)
        assert arrays.as_array("x", archive["a"]).shape == (3, 3)
    with raises_exactly(
        DTypeError, "w is the collections OrderedDict, which holds arrays by their names; pass one of them"
    ):
        arrays.as_array("w", OrderedDict(a=np.ones((3, 3))))


@pytest.mark.wide
@pytest.mark.parametrize("package", ["h5py", "zarr"])
def test_groups_of_stores_are_no_arrays(package: str, tmp_path: Path) -> None:
    """Files that hold several."""
    module = require(package)
    group = module.File(tmp_path / "x.h5", "w") if package == "h5py" else module.group()
    with pytest.raises(DTypeError, match=rf"^x is the {package} \w+, which holds arrays by their names; pass one"):
        arrays.as_array("x", group)


@pytest.mark.parametrize("mode", ["P", "PA"])
def test_places_in_a_palette_are_no_colours(mode: str) -> None:
    """Images of Pillow are arrays; those with a palette hold places in it."""
    x = Image.new(mode, (4, 3))
    message = "x is an image with a palette, whose pixels are places in it; pass its colours, as in x.convert('RGB')"
    with raises_exactly(DTypeError, message):
        arrays.as_array("x", x)
    assert arrays.as_array("x", x.convert("RGB")).shape == (3, 4, 3)
    assert arrays.as_array("x", Image.new("1", (4, 3))).dtype == bool


def test_a_photograph_has_its_colours_last() -> None:
    """Or first: without a name for its axes nothing is guessed. Maps of a few pixels are none."""
    photo = np.ones((20, 30, 3))
    message = (
        "the image (20, 30, 3) may have its channels first, 20 of them, or last, 3 colours; pass layout='CHW' or "
        "layout='HWC'"
    )
    for call in (im2col.im2col, im2col.patches):
        with raises_exactly(LayoutError, f"{call.__name__}: {message}"):
            call(photo, 2)
        assert call(photo, 2, layout="HWC").size == 19 * 29 * 12
        assert call(photo, 2, layout="CHW").size == 29 * 2 * 80
        assert call(np.ones((20, 15, 3)), 2).size == 14 * 2 * 80


NOT_A_NUMBER = "which is not a number; convert it first, as in"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            np.zeros(3, [("red", "u1"), ("green", "u1")]),
            "has the structured dtype [('red', 'u1'), ('green', 'u1')]; pass one of its fields, as in x['red']",
        ),
        (np.array([1, None]), f"has dtype object, {NOT_A_NUMBER} np.asarray(x, float)"),
        ([2**80], f"has dtype object, {NOT_A_NUMBER} np.asarray(x, float)"),
        (np.array(["1", "2"]), f"has dtype <U1, {NOT_A_NUMBER} np.asarray(x, float)"),
        (np.array([b"12"]), f"has dtype |S2, {NOT_A_NUMBER} np.asarray(x, float)"),
        (
            np.array(["1"], np.dtypes.StringDType()),
            f"has dtype StringDType(), {NOT_A_NUMBER} np.asarray(x, float)",
        ),
        (np.array([0], "M8[s]"), f"has dtype datetime64[s], {NOT_A_NUMBER} x.astype(np.int64)"),
        (np.array([0], "m8[s]"), f"has dtype timedelta64[s], {NOT_A_NUMBER} x.astype(np.int64)"),
        (np.zeros(2, "V3"), f"has dtype |V3, {NOT_A_NUMBER} x.view(np.uint8)"),
        ({1, 2}, "of type set is no array; pass an ndarray, or nested lists of numbers"),
        (None, "is None; pass an array"),
    ],
)
def test_other_dtypes_are_refused_by_name(value: object, message: str) -> None:
    """What is not a number is refused, named as NumPy names it; the way out is one."""
    with raises_exactly(DTypeError, f"x {message}"):
        arrays.as_array("x", value)
    way_out = re.search(r"as in (.*)$", message)
    if way_out is not None:
        arrays.as_array("x", eval(way_out[1], {"np": np, "x": value}))  # noqa: S307 (our own words)


def test_sparse_matrices_are_told_how() -> None:
    """NumPy wraps them as objects."""
    sparse = require("scipy.sparse")
    x = sparse.eye_array(4)
    with raises_exactly(DTypeError, "x is a sparse dia_array; pass a dense array, as in x.toarray()"):
        arrays.as_array("x", x)
    assert arrays.as_array("x", x.toarray()).shape == (4, 4)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_tensors_of_dtypes_that_numpy_lacks(name: str) -> None:
    """Their bits are taken as they are, the memory shared."""
    torch = require("torch")
    tensor = torch.arange(6.0).reshape(2, 3).to(getattr(torch, name)).T
    array = arrays.as_array("x", tensor)
    assert array.dtype == np.dtype(getattr(ml_dtypes, name))
    assert array.astype(float).tolist() == [[0, 3], [1, 4], [2, 5]]
    tensor[0, 0] = 7
    assert float(array[0, 0]) == 7


def test_what_is_no_array_is_refused() -> None:
    """Ragged lists and memory out of reach are refused with the cause, which is chained too."""
    message = (
        "x of type Remote cannot be used as a NumPy array (the data is on the moon); pass an ndarray in CPU memory"
    )
    with raises_exactly(DTypeError, message):
        arrays.as_array("x", Remote(np.zeros(3)))
    with pytest.raises(DTypeError, match=r"x of type list cannot be used .* inhomogeneous shape") as caught:
        arrays.as_array("x", [[1, 2], [3]])
    assert isinstance(caught.value.__cause__, ValueError)


def test_native_dtypes() -> None:
    """Only the byte order changes."""
    assert arrays.native(np.dtype(">f8")) == np.dtype("f8")
    assert arrays.native(np.dtype("<i4")) == np.dtype("i4")
    assert arrays.native(np.dtype("?")) == np.dtype("?")


@pytest.mark.parametrize("value", [np.float32, "float32", np.dtype("f4"), float, "bool", DTYPES[-1]])
def test_dtypes_are_taken_as_numpy_spells_them(value: Any) -> None:
    """Types, names and dtypes of numbers are all good."""
    assert arrays.as_dtype("dtype", value) == np.dtype(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("flaot32", "dtype='flaot32' is not a dtype; pass one such as np.float32"),
        (32, "dtype=32 is not a dtype; pass one such as np.float32"),
        (object, "dtype=object is not a number; pass one such as np.float32"),
        ("U3", "dtype=<U3 is not a number; pass one such as np.float32"),
    ],
)
def test_other_names_are_no_dtypes(value: Any, message: str) -> None:
    """Misspelt dtypes and those that hold no numbers are refused."""
    with raises_exactly(DTypeError, message):
        arrays.as_dtype("dtype", value)


FLOATS = np.dtype(np.float32)


@pytest.mark.parametrize(
    "out",
    [
        np.empty((2, 3), FLOATS),
        np.empty((3, 2), FLOATS).T,
        np.empty((4, 6), FLOATS)[::2, ::-2],
        np.empty((2, 3), np.complex64).imag,
        np.empty((2, 3, 4), FLOATS)[..., 1],
        np.empty(25, np.uint8)[1:].view(FLOATS).reshape(2, 3),
    ],
)
def test_any_strides_can_be_written_to(out: np.ndarray[Any, Any]) -> None:
    """Slices, transposes and parts of ordinary arrays are all good for output."""
    assert arrays.check_output(out, (2, 3), FLOATS, [np.zeros(9)]) is out


def test_one_element_and_empty_outputs() -> None:
    """Axes of length 1 and 0 may have any stride."""
    broadcast = np.lib.stride_tricks.as_strided(np.empty(1, FLOATS), (1, 1), (0, 0))
    assert arrays.check_output(broadcast, (1, 1), FLOATS, []) is broadcast
    empty = np.empty((0, 3), FLOATS)
    assert arrays.check_output(empty, (0, 3), FLOATS, [empty]) is empty


WHOLE = np.zeros(40, FLOATS)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ([[0.0] * 3] * 2, "out is a list; pass an ndarray"),
        (
            np.empty((3, 2), FLOATS),
            "out has shape (3, 2) but the result has (2, 3); pass np.empty((2, 3), 'float32')",
        ),
        (
            np.empty((2, 3), "f8"),
            "out has dtype float64 but the result has float32; pass np.empty((2, 3), 'float32')",
        ),
        (
            np.empty((2, 3), ">f4"),
            "out has dtype >f4 but the result has float32; pass np.empty((2, 3), 'float32')",
        ),
        (MEMORY_ORDERS["read-only"](np.empty((2, 3), FLOATS)), "out is read-only; pass a writeable array"),
        (
            np.lib.stride_tricks.as_strided(np.empty(4, FLOATS), (2, 3), (4, 4)),
            "out has elements that share memory; pass np.empty of the result's shape",
        ),
        (
            np.lib.stride_tricks.as_strided(np.empty(4, FLOATS), (2, 3), (0, 4)),
            "out has elements that share memory; pass np.empty of the result's shape",
        ),
        (
            np.lib.stride_tricks.as_strided(np.empty(9, FLOATS), (2, 3), (16, 3)),
            "out has elements that share memory; pass np.empty of the result's shape",
        ),
        (
            WHOLE[:6].reshape(2, 3),
            "out shares memory with an input, which would be overwritten while it is read; pass another array",
        ),
        (
            WHOLE[6:12].reshape(2, 3)[::-1, ::-1],
            "out shares memory with an input, which would be overwritten while it is read; pass another array",
        ),
    ],
)
def test_output_is_refused(out: Any, message: str) -> None:
    """What the result cannot be written to is refused, with what to pass instead."""
    with raises_exactly(OutputError, message):
        arrays.check_output(out, (2, 3), FLOATS, [np.zeros(3), WHOLE[::3]])


def test_neighbours_in_memory_are_no_overlap() -> None:
    """An output woven between an input's elements shares none of them."""
    woven = np.zeros((2, 6), FLOATS)
    assert arrays.check_output(woven[:, ::2], (2, 3), FLOATS, [woven[:, 1::2]]).base is woven


def test_overlap_that_is_hard_to_decide_is_refused() -> None:
    """Where the exact test for shared memory would take too long, the answer is the safe one."""
    base = np.zeros(4_000_000, np.int8)
    strided = np.lib.stride_tricks.as_strided
    x = strided(base, (7, 7, 7, 7, 7, 7), (100_003, 50_021, 25_013, 12_511, 6_007, 3_001))
    out = strided(base[1:], (7, 7, 7, 7, 7, 7), (400_009, 57_131, 8_161, 1_163, 163, 23))
    with pytest.raises(np.exceptions.TooHardError):
        np.shares_memory(x, out, max_work=10_000)  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="shares memory with an input"):
        arrays.check_output(out, out.shape, out.dtype, [x])
