"""The convolutions against the definition as plain loops, against SciPy and torch, and their errors."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage, signal

import im2col
from im2col import (
    GeometryError,
    LayoutError,
    MemoryBudgetError,
    ShapeError,
    conv,
    conv1d,
    conv2d,
    conv3d,
)
from im2col.engine import host
from im2col.spec.problem import Options, keywords

from .kit.convolutions import ALGORITHMS, OF_ANY_WINDOW, OUTPUTS, W, X, conv_by, layer, promotes, result_dtype, stored
from .kit.oracles import Window
from .kit.outcomes import raises_exactly
from .kit.strategies import (
    BFLOAT16,
    MEMORY_ORDERS,
    PADDING_MODES,
    PADDING_NAMES,
    dtypes,
    layouts,
    memory_orders,
    numbers,
    seeds,
    spatial_ndims,
    spelled,
    spelled_padding,
    windows,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Array = NDArray[Any]


@dataclass(frozen=True)
class Layer:
    """A call of `conv` as a user writes it, and the sums that the oracle gives."""

    x: Array
    w: Array
    bias: Array | None
    arguments: dict[str, Any]
    sums: NDArray[np.object_]


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    """Draw a layer of small integers, so that every sum is exact: any window, layout, dtypes, memory orders, groups."""
    k = draw(spatial_ndims(3))
    name = draw(st.sampled_from([None, *PADDING_NAMES]))
    window = draw(windows(k, name))
    written = draw(st.none() | layouts(k))
    layout = draw(st.sampled_from(["NC", "C", ""])) + "ABD"[:k] if written is None else written
    groups, per_group, maps = 1, 1, 1
    if "C" in layout:
        groups, per_group, maps = (draw(st.sampled_from(sizes)) for sizes in ([1, 2, 3], [1, 2, 0], [1, 2, 0]))
    lengths = dict(zip((a for a in layout if a not in "NC"), window.spatial_shape, strict=True))
    lengths |= {"N": draw(st.sampled_from([1, 2, 0])), "C": groups * per_group}
    x_dtype = draw(dtypes())
    w_dtype = draw(dtypes().filter(lambda d: promotes(x_dtype, d)))
    x = numbers(tuple(lengths[a] for a in layout), x_dtype, draw(seeds()))
    w = numbers((groups * maps, per_group, *window.kernel_size), w_dtype, draw(seeds()))
    bias = numbers((len(w),), w_dtype, draw(seeds())) if draw(st.booleans()) else None
    value = draw(st.integers(0, 1) if x_dtype.kind in "bu" else st.integers(-3, 3))
    mode, flip = draw(st.sampled_from(PADDING_MODES)), draw(st.booleans())
    arguments = {
        "stride": draw(spelled(window.stride)),
        "dilation": draw(spelled(window.dilation)),
        "padding": draw(spelled_padding(window.padding)) if name is None else name,
        "padding_mode": mode,
        "padding_value": value,
        "groups": groups,
        "layout": written,
        "flip": flip,
        "threads": draw(st.sampled_from([1, 2])),
    }
    sums = layer(x, w, window, layout, bias=bias, groups=groups, mode=mode, value=value, flip=flip)
    x, w = MEMORY_ORDERS[draw(memory_orders())](x), MEMORY_ORDERS[draw(memory_orders())](w)
    return Layer(x, w, bias, arguments, sums)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(case=layers())
def test_conv_is_the_definition(algorithm: str, case: Layer) -> None:
    """Any layer, with every argument, is the sum of its products: exactly, in the dtype that the rules say."""
    result = conv_by(algorithm, case.x, case.w, case.bias, **case.arguments)
    dtype = result_dtype(*(a.dtype.newbyteorder("=") for a in (case.x, case.w)))
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, stored(case.sums, dtype))


@given(case=layers())
def test_small_blocks_give_the_same(case: Layer) -> None:
    """A matrix cut into blocks of one position, or of a few, gives the same exact sums."""
    whole = conv(case.x, case.w, case.bias, algorithm="explicit", **case.arguments)
    for few in (1, 3):
        elements = math.prod(case.w.shape[1:]) + 3 * len(case.w) + 1
        limit = few * elements * np.dtype(np.clongdouble).itemsize
        cut = conv(case.x, case.w, case.bias, algorithm="explicit", workspace_limit=limit, **case.arguments)
        np.testing.assert_array_equal(cut, whole)


# conv1d, conv2d, conv3d: conv by number of axes, and plain kernels.


@pytest.mark.parametrize(("function", "k"), [(conv1d, 1), (conv2d, 2), (conv3d, 3)])
@pytest.mark.parametrize("lead", [(), (2,), (3, 2)], ids=["plain", "channels", "batch"])
def test_numbered_functions_are_conv(function: Callable[..., Array], k: int, lead: tuple[int, ...]) -> None:
    """conv1d, conv2d and conv3d give what conv gives for full weights."""
    x = numbers((*lead, *(5, 4, 6)[:k]), np.dtype(float), 0)
    w = numbers((3 if lead else 1, 2 if lead else 1, *(2, 3, 2)[:k]), np.dtype(float), 1)
    options: dict[str, Any] = {"stride": 2, "padding": 1, "flip": True, "padding_mode": "edge"}
    np.testing.assert_array_equal(function(x, w, **options), conv(x, w, **options))


@pytest.mark.parametrize(("function", "k"), [(conv1d, 1), (conv2d, 2), (conv3d, 3)])
def test_plain_kernels_go_with_plain_images(function: Callable[..., Array], k: int) -> None:
    """A plain image with a plain kernel gives a plain map; so do nested lists."""
    x, w = numbers((5, 4, 6)[:k], np.dtype(int), 0), numbers((2, 3, 2)[:k], np.dtype(int), 1)
    expected = conv(x, w[None, None])
    np.testing.assert_array_equal(function(x, w), expected)
    np.testing.assert_array_equal(function(x.tolist(), w.tolist()), expected)
    assert expected.ndim == k


# Oracles from outside.


@pytest.mark.parametrize("algorithm", OF_ANY_WINDOW)
@pytest.mark.parametrize(
    ("shape", "kernel"), [((9,), (4,)), ((5, 7), (3, 2)), ((4, 3, 5), (2, 3, 2)), ((3, 3), (3, 3))]
)
@pytest.mark.parametrize("padding", ["valid", "full"])
def test_scipy_signal(shape: tuple[int, ...], kernel: tuple[int, ...], padding: str, algorithm: str) -> None:
    """SciPy's correlate is conv; its convolve is conv with flip; "full" and "valid" mean the same there."""
    x, w = numbers(shape, np.dtype(int), 0), numbers(kernel, np.dtype(int), 1)
    options: dict[str, Any] = {"padding": padding, "algorithm": algorithm}
    np.testing.assert_array_equal(conv(x, w[None, None], **options), signal.correlate(x, w, padding, "direct"))
    flipped = conv(x, w[None, None], flip=True, **options)
    np.testing.assert_array_equal(flipped, signal.convolve(x, w, padding, "direct"))


NDIMAGE = {"constant": "constant", "edge": "nearest", "reflect": "mirror", "symmetric": "reflect", "wrap": "grid-wrap"}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize(
    ("shape", "kernel"), [((8,), (5,)), ((5, 7), (3, 3)), ((5, 4), (4, 2)), ((2, 3), (5, 7)), ((3, 4, 3), (3, 2, 3))]
)
def test_scipy_ndimage(shape: tuple[int, ...], kernel: tuple[int, ...], mode: Any, algorithm: str) -> None:
    """SciPy's ndimage.correlate pads by the same five rules under other names, also beyond the image's own length."""
    x, w = numbers(shape, np.dtype(int), 0), numbers(kernel, np.dtype(int), 1)
    padding = tuple((k // 2, k - 1 - k // 2) for k in kernel)
    result = conv_by(algorithm, x, w[None, None], padding=padding, padding_mode=mode, padding_value=3)
    np.testing.assert_array_equal(result, ndimage.correlate(x, w, mode=NDIMAGE[mode], cval=3))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [(1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 2), (3, 1, 1, 4), (2, 2, 2, 4)],
)
def test_torch(torch: Any, k: int, stride: int, padding: int, dilation: int, groups: int, algorithm: str) -> None:
    """Torch's conv1d, conv2d and conv3d are ours; the last groups are depthwise."""
    x = numbers((2, 4, *(7, 6, 5)[:k]), np.dtype(float), 0)
    w, bias = numbers((8, 4 // groups, *(3, 2, 2)[:k]), np.dtype(float), 1), numbers((8,), np.dtype(float), 2)
    options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    theirs = getattr(torch.nn.functional, f"conv{k}d")(*map(torch.from_numpy, (x, w, bias)), **options)
    rounding = 1e-11 if algorithm == "fft" else 0  # spectra of integers are no integers; all else is exact
    np.testing.assert_allclose(conv_by(algorithm, x, w, bias, **options), theirs.numpy(), rtol=0, atol=rounding)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_torch_named_padding(torch: Any, padding: Any) -> None:
    """Torch's "same" puts the odd pixel after the image too."""
    x, w = numbers((1, 2, 6, 7), np.dtype(float), 0), numbers((3, 2, 4, 3), np.dtype(float), 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that an even kernel costs it a copy
        theirs = torch.nn.functional.conv2d(*map(torch.from_numpy, (x, w)), padding=padding, dilation=(1, 2))
    np.testing.assert_array_equal(conv2d(x, w, padding=padding, dilation=(1, 2)), theirs.numpy())


def test_torch_tensors_are_taken(torch: Any) -> None:
    """CPU tensors work as image and weight; the result is one, too."""
    result = conv2d(torch.ones(1, 4, 4), torch.ones(2, 1, 3, 3))
    assert type(result) is torch.Tensor
    np.testing.assert_array_equal(result, np.full((2, 2, 2), 9.0))


# Arguments, one at a time.


@pytest.mark.parametrize("algorithm", OF_ANY_WINDOW)
@pytest.mark.parametrize(
    "layout", ["NHWC", "HWC", "NWHC", "CHWN", "HNCW", "NCW", "NWC", "WC", "NCDHW", "NDHWC", "CNDWH"]
)
def test_layouts_only_move_axes(layout: str, algorithm: str) -> None:
    """The output has the input's layout, and the same values as in the default one."""
    sizes = {"N": 2, "C": 4, "D": 3, "H": 5, "W": 6}
    spatial = "".join(axis for axis in layout if axis not in "NC")
    default = "N" * ("N" in layout) + "C" + spatial
    x = numbers(tuple(sizes[a] for a in default), np.dtype(float), 0)
    w = numbers((2, 2, *(2, 3, 2)[: len(spatial)]), np.dtype(float), 1)
    options: dict[str, Any] = {"groups": 2, "padding": 1, "stride": 2, "algorithm": algorithm}
    moved = x.transpose([default.index(a) for a in layout])
    expected = conv(x, w, **options).transpose([default.index(a) for a in layout])
    np.testing.assert_array_equal(conv(moved, w, layout=layout, **options), expected)


@pytest.mark.parametrize("layout", ["HW", "XY", "NHW", "HWN"])
def test_layouts_without_channels(layout: str) -> None:
    """An image, or a batch, that has no channel axis gives maps that have none."""
    x = numbers((3, 4, 5)[: len(layout)], np.dtype(int), 0)
    w = numbers((1, 1, 2, 2), np.dtype(int), 1)
    image = x[None] if "N" not in layout else np.moveaxis(x, layout.index("N"), 0)
    maps = conv(image[:, None], w)[:, 0]
    expected = maps[0] if "N" not in layout else np.moveaxis(maps, 0, layout.index("N"))
    np.testing.assert_array_equal(conv(x, w, layout=layout), expected)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "CHWN"])
@pytest.mark.parametrize("order", OUTPUTS)
def test_out_takes_the_result(order: str, layout: str, algorithm: str) -> None:
    """`out` of any strides is filled whole and returned, and nothing beside it is written."""
    x = numbers((2, 4, 5, 3), np.dtype(float), 0)
    w = numbers((2, x.shape[layout.index("C")], 2, 2), np.dtype(float), 1)
    expected = conv(x, w, layout=layout, algorithm="reference")
    out = OUTPUTS[order](expected.shape)
    out[...] = np.nan
    assert conv_by(algorithm, x, w, layout=layout, out=out, workspace_limit=2000) is out
    np.testing.assert_array_equal(out, expected)
    if order == "strided":
        assert isinstance(out.base, np.ndarray)
        assert np.count_nonzero(out.base == 0.5) == out.base.size - out.size


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("x_dtype", "w_dtype", "dtype"),
    [
        ("int8", "int8", "int8"),
        ("int8", "int8", "uint8"),
        ("int8", "int8", "int64"),
        ("uint8", "int8", "float32"),
        ("int16", "int16", "int64"),
        ("int64", "int64", "uint64"),
        ("int64", "int16", "uint8"),
        ("uint64", "uint64", "int16"),
        ("float32", "float32", "float64"),
        ("float64", "float64", "float32"),
        ("float64", "int8", "float16"),
        ("float32", "float32", "complex64"),
        ("float32", "float32", BFLOAT16),
        (BFLOAT16, BFLOAT16, "float32"),
        ("bool", "bool", "uint16"),
    ],
)
def test_dtype_overrides(x_dtype: Any, w_dtype: Any, dtype: Any, algorithm: str) -> None:
    """`dtype` is the dtype of the result; integers wrap into it."""
    x, w = numbers((2, 4, 5), np.dtype(x_dtype), 0), numbers((3, 2, 3, 3), np.dtype(w_dtype), 1)
    sums = layer(x, w, Window((4, 5), (3, 3), (1, 1), ((0, 0),) * 2, (1, 1)), "CHW")
    result = conv_by(algorithm, x, w, dtype=dtype)
    assert result.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(result, stored(sums, np.dtype(dtype)))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_flip_turns_every_kernel(groups: int, algorithm: str) -> None:
    """`flip` reverses the kernel along its own axes alone: filters and channels keep their order."""
    x, w = numbers((6, 5, 4), np.dtype(int), 0), numbers((6, 6 // groups, 3, 2), np.dtype(int), 1)
    expected = conv(x, w[:, :, ::-1, ::-1], groups=groups, algorithm="reference")
    np.testing.assert_array_equal(conv_by(algorithm, x, w, groups=groups, flip=True), expected)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("order", MEMORY_ORDERS)
def test_memory_orders(order: str, algorithm: str) -> None:
    """Image and weight may lie in memory in any way; neither is changed."""
    x, w = numbers((2, 3, 5, 4), np.dtype(np.float32), 0), numbers((2, 3, 2, 3), np.dtype(np.float32), 1)
    moved_x, moved_w = MEMORY_ORDERS[order](x), MEMORY_ORDERS[order](w)
    for padding in (0, 1):
        result = conv_by(algorithm, moved_x, moved_w, padding=padding)
        np.testing.assert_array_equal(result, conv(x, w, padding=padding, algorithm="reference"))
    np.testing.assert_array_equal(moved_x, x)
    np.testing.assert_array_equal(moved_w, w)


# Edges.


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("x_shape", "w_shape", "y_shape"),
    [((0, 2, 5, 5), (3, 2, 3, 3), (0, 3, 3, 3)), ((2, 2, 5, 5), (0, 2, 3, 3), (2, 0, 3, 3))],
    ids=["no images", "no filters"],
)
def test_empty_results(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], y_shape: tuple[int, ...], algorithm: str
) -> None:
    """No images, or no filters, give an empty result of the right shape."""
    result = conv_by(algorithm, np.ones(x_shape), np.ones(w_shape), np.ones(w_shape[0]))
    assert result.shape == y_shape


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_channels_give_the_bias(algorithm: str) -> None:
    """A sum of no terms is 0, and the bias is added to it."""
    x, w = np.ones((2, 0, 4, 4)), np.ones((3, 0, 3, 3))
    result = conv_by(algorithm, x, w, [1, 2, 3])
    np.testing.assert_array_equal(result, np.broadcast_to(np.reshape([1.0, 2, 3], (3, 1, 1)), (2, 3, 2, 2)))
    np.testing.assert_array_equal(conv_by(algorithm, x, w), np.zeros((2, 3, 2, 2)))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("kernel", [(1, 1), (7, 5), (1, 5), (7, 1), (5, 3)])
@pytest.mark.parametrize("stride", [1, 2, 5])
def test_kernels_from_one_pixel_to_the_image(kernel: tuple[int, int], stride: int, algorithm: str) -> None:
    """From a 1×1 kernel to one as large as the image, over prime sizes."""
    x, w = numbers((3, 7, 5), np.dtype(int), 0), numbers((5, 3, *kernel), np.dtype(int), 1)
    window = Window((7, 5), kernel, (stride, stride), ((0, 0),) * 2, (1, 1))
    result = conv_by(algorithm, x, w, stride=stride)
    np.testing.assert_array_equal(result, layer(x, w, window, "CHW").astype(int))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_windows_that_see_padding_only(algorithm: str) -> None:
    """Positions outside the image give the bias, or the padding value times the weights."""
    x, w = np.array([[[5]]]), np.array([[[[2]]]])
    expected = [[[1, 1, 1], [1, 11, 1], [1, 1, 1]]]
    np.testing.assert_array_equal(conv_by(algorithm, x, w, [1], padding=1), expected)
    filled = conv_by(algorithm, x, w, [1], padding=1, padding_value=3)
    np.testing.assert_array_equal(filled, np.where(np.array(expected) == 1, 7, 11))
    nothing = np.ones((1, 0, 3), int)
    np.testing.assert_array_equal(conv_by(algorithm, nothing, w, padding=1, padding_value=3), np.full((1, 2, 5), 6))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_zero_strides(axis: int, algorithm: str) -> None:
    """A broadcast image, whose axis has stride 0, is read as it looks."""
    x = np.broadcast_to(np.take(numbers((2, 4, 5), np.dtype(int), 0), [0], axis), (2, 4, 5))
    w = numbers((2, 2, 3, 3), np.dtype(int), 1)
    np.testing.assert_array_equal(conv_by(algorithm, x, w), conv(x.copy(), w, algorithm="reference"))


def test_inputs_beyond_32_bits() -> None:
    """An image of 3·2³⁰ pixels, of which a few are read: zero strides first, then real addresses that no page backs."""
    w = np.array([1, 2, 4], np.int8)
    spread: dict[str, Any] = {"dilation": (1 << 30) + 3, "stride": (1 << 29) + 1}
    same = np.broadcast_to(np.int8(3), (3 << 30,))
    np.testing.assert_array_equal(conv1d(same, w, **spread), [21, 21])
    image = np.zeros(3 << 30, np.int8)  # untouched pages take no memory
    read = [stop * spread["stride"] + tap * spread["dilation"] for stop in range(2) for tap in range(3)]
    for at in read:
        image[max(at - 2, 0) : at + 3] = 99  # neighbours that must not be read
    image[read] = [1, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal(conv1d(image, w, **spread), [1 + 2 * 2 + 3 * 4, 4 + 5 * 2 + 6 * 4])
    rows = image.reshape(3, 1 << 30)
    rows[:, -1] = [7, 8, 9]
    result = conv2d(rows, w[:, None], stride=(1, (1 << 30) - 1))
    np.testing.assert_array_equal(result, [[rows[:, 0] @ w.astype(int), 7 + 16 + 36]])


# Memory.


def test_results_beyond_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A result that would not fit is refused with its size, before it is allocated."""
    monkeypatch.setattr(host, "available_memory", lambda: 1 << 20)
    image = np.broadcast_to(np.int8(1), (4096, 4096))
    message = (
        "conv2d: the result (4096, 4096) of int32 with its workspace would take 68.0 MiB but 1.0 MiB are available; "
        "lower workspace_limit, or work on fewer images at a time"
    )
    with raises_exactly(MemoryBudgetError, message):
        conv2d(image, np.ones((1, 1), np.int8), algorithm="explicit", threads=1)
    message = (
        "im2col: the column matrix (16760836, 9) of int8 would take 143.9 MiB but 1.0 MiB are available; use conv, "
        "which never makes it whole, or patches, a view that copies nothing"
    )
    with raises_exactly(MemoryBudgetError, message):
        im2col.im2col(image, 3)


def test_workspaces_beyond_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `out` given, a padded copy of the image that would not fit is refused too, and `out` is untouched."""
    monkeypatch.setattr(host, "available_memory", lambda: 1 << 20)
    image, out = np.broadcast_to(np.int8(1), (8192, 8192)), np.full((3, 3), 7, np.int32)
    with pytest.raises(MemoryBudgetError, match=r"\Aconv2d: .*workspace.* 1\.0 MiB are available"):
        conv2d(image, np.ones((1, 1), np.int8), padding=1, stride=4096, out=out, threads=1)
    np.testing.assert_array_equal(out, 7)


# Errors.


WRONG_BY_FUNCTION: list[tuple[Callable[..., Array], type[Exception], str, tuple[Any, Any]]] = [
    (
        conv,
        ShapeError,
        "conv: w must be (filters, channels/groups, *kernel), got shape (3, 3); a plain kernel goes with conv1d, "
        "conv2d or conv3d, or as w[None, None]",
        (X[0, 0], W[0, 0]),
    ),
    (
        conv,
        LayoutError,
        "conv: an image with 3 spatial axes has 3 (plain), 4 (with channels) or 5 (with a batch) axes, got an array of "
        "2; pass an image of that many axes, or name its axes with layout=",
        (X[0, 0], W[None]),
    ),
    (
        conv1d,
        ShapeError,
        "conv1d: w must be (filters, channels/groups, *kernel), 3 axes, or a plain kernel of 1 axis for a plain image "
        "of 1; got w of shape (3,) with an image of shape (2, 5); to filter each of C channels alike, pass "
        "np.stack([w[None]] * C) and groups=C, and layout= for channels last",
        (X[0, :, 0], W[0, 0, 0]),
    ),
    (
        conv1d,
        LayoutError,
        "conv1d: an image with 1 spatial axis has 1 (plain), 2 (with channels) or 3 (with a batch) axes, got an array "
        "of 4; pass an image of that many axes, or name its axes with layout=",
        (X, W[0]),
    ),
    (
        conv3d,
        ShapeError,
        "conv3d: w must be (filters, channels/groups, *kernel), 5 axes, or a plain kernel of 3 axes for a plain image "
        "of 3; got w of shape (3, 2, 3, 3) with an image of shape (1, 2, 5, 5)",
        (X, W),
    ),
    (
        conv3d,
        GeometryError,
        "conv3d: the kernel spans 3 pixels (size 3, dilation 1) but axis D of the padded image has 2; pad by at least "
        "1 on each side or use a smaller kernel",
        (X, np.ones((3, 1, 3, 3, 3))),
    ),
]


@pytest.mark.parametrize(("function", "error", "message", "arrays"), WRONG_BY_FUNCTION)
def test_errors_name_the_function(
    function: Callable[..., Array], error: type[Exception], message: str, arrays: tuple[Any, Any]
) -> None:
    """Each function names itself, and counts its own axes."""
    with raises_exactly(error, message):
        function(*arrays)


@pytest.mark.parametrize(("function", "k"), [(conv, 2), (conv1d, 1), (conv2d, 2), (conv3d, 3)])
def test_unknown_keywords_name_the_function(function: Callable[..., Array], k: int) -> None:
    """A misspelled keyword is refused in the name of the function that was called; from 3.13 on Python knows better."""
    name: str = function.__name__
    hint = r"(\. Did you mean 'stride'\?)?"
    with pytest.raises(TypeError, match=rf"\A{name}\(\) got an unexpected keyword argument 'strides'{hint}\Z"):
        function(np.ones((2, *(5,) * k)), np.ones((3, 2, *(3,) * k)), strides=2)


def test_the_keywords_of_conv_are_listed_for_type_checkers() -> None:
    """What conv1d to conv3d hand on is what conv has: `Options` repeats its signature."""
    assert set(Options.__annotations__) == keywords(conv)
