"""`conv_weight_gradient` and `conv_bias_gradient` against plain loops, the adjoint, torch, differences; errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from im2col import (
    ArgumentError,
    DTypeError,
    GeometryError,
    LayoutError,
    MemoryBudgetError,
    OutputError,
    ShapeError,
    conv,
    conv_bias_gradient,
    conv_input_gradient,
    conv_weight_gradient,
)
from im2col.algorithms.weight_gradient import rows
from im2col.engine import host

from .kit import oracles
from .kit.adjoints import (
    ALGORITHMS,
    FLOAT,
    INT,
    KINDS,
    LAYER_DTYPES,
    LAYERS,
    TORCH_MODES,
    by,
    check_every_algorithm,
    check_refused,
    narrowed,
)
from .kit.convolutions import OUTPUTS, bits, result_dtype, stored
from .kit.oracles import Window
from .kit.strategies import (
    BFLOAT16,
    DTYPES,
    MEMORY_ORDERS,
    PADDING_MODES,
    PADDING_NAMES,
    Convolution,
    convolutions,
    dtypes,
    layouts,
    memory_orders,
    numbers,
    seeds,
    spatial_ndims,
    spelled,
)
from .kit.targets import forget_choices

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = NDArray[Any]


def kernel_of(case: Convolution) -> st.SearchStrategy[Any]:
    """Draw a way to write the kernel's size; without a layout a bare integer means two axes."""
    written = spelled(case.window.kernel_size)
    if case.arguments["layout"] is None and len(case.window.kernel_size) != 2:
        return written.filter(lambda spelling: not isinstance(spelling, int | np.integer))
    return written


# The definition.


@given(case=convolutions(), data=st.data())
def test_conv_weight_gradient_is_the_definition(case: Convolution, data: st.DataObject) -> None:
    """Any convolution, with every argument: each weight is the sum over its products, exactly, in the right dtype."""
    x, grad = case.operands(case.image_shape, case.output_shape)
    value = data.draw(st.integers(0, 1) if x.dtype.kind in "bu" else st.integers(-3, 3))
    if x.dtype.kind == "c":
        value = value + 2j  # type: ignore[assignment]
    sums = oracles.weight_gradient(x, grad, case.weight_shape, case.layout, case.window, value=value, **case.options)
    options = case.arguments | {"kernel_size": data.draw(kernel_of(case)), "padding_value": value}
    check_every_algorithm(conv_weight_gradient, sums, result_dtype(*case.dtypes), *case.laid_out(x, grad), **options)


@given(
    case=convolutions(),
    data=st.data(),
    memory=memory_orders().filter(lambda order: order not in {"read-only", "swapped"}),
)
def test_out_is_filled_and_the_operands_are_not_changed(case: Convolution, data: st.DataObject, memory: str) -> None:
    """`out` of any strides holds the result and is returned; x and grad are as they were."""
    arrays = case.laid_out(*case.operands(case.image_shape, case.output_shape))
    before = [a.copy() for a in arrays]
    options = case.arguments | {"kernel_size": data.draw(kernel_of(case))}
    x, grad = arrays
    expected = conv_weight_gradient(x, grad, algorithm="reference", **options)
    for algorithm in ALGORITHMS:
        out = MEMORY_ORDERS[memory](np.ones_like(expected))
        assert by(algorithm, conv_weight_gradient, *arrays, out=out, **options) is out
        np.testing.assert_array_equal(out, expected, err_msg=algorithm)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "CHWN"])
@pytest.mark.parametrize("order", OUTPUTS)
def test_nothing_beside_out_is_written(order: str, layout: str, algorithm: str) -> None:
    """What lies between the elements of a strided `out` stays."""
    sizes = {"N": 2, "C": 3, "H": 5, "W": 4}
    x = numbers(tuple(sizes[a] for a in layout), FLOAT, 1)
    options: dict[str, Any] = {"layout": layout, "stride": 2, "padding": 1}
    grad = numbers(conv(x, np.zeros((4, 3, 2, 3)), **options).shape, FLOAT, 0)
    expected = conv_weight_gradient(x, grad, (2, 3), algorithm="reference", **options)
    out = OUTPUTS[order](expected.shape)
    out[...] = np.nan
    assert by(algorithm, conv_weight_gradient, x, grad, (2, 3), out=out, **options) is out
    np.testing.assert_array_equal(out, expected)
    if order == "strided":
        assert isinstance(out.base, np.ndarray)
        assert np.count_nonzero(out.base == 0.5) == out.base.size - out.size


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("name", PADDING_NAMES)
def test_named_padding_is_conv_s(name: Any, mode: Any, algorithm: str) -> None:
    """A name means what it means to `conv`, with every mode, also where the padding is wider than the image."""
    shape, kernel, dilation = (2, 3, 4), (4, 3), (2, 1)
    if name == "valid":
        shape = (2, 8, 4)
    pairs = tuple(oracles.named_padding(name, n, k, 2, d) for n, k, d in zip(shape[1:], kernel, dilation, strict=True))
    window = Window(shape[1:], kernel, (2, 2), pairs, dilation)
    x, grad = numbers(shape, INT, 0), numbers((3, *window.output_shape), INT, 1)
    options: dict[str, Any] = {"padding": name, "padding_mode": mode, "stride": 2, "dilation": dilation}
    result = by(algorithm, conv_weight_gradient, x, grad, kernel, padding_value=5, **options)
    sums = oracles.weight_gradient(x, grad, (3, 2, *kernel), "CHW", window, mode=mode, value=5)
    np.testing.assert_array_equal(result, sums.astype(int))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("x_dtype", "grad_dtype", "dtype"),
    [
        ("int8", "int8", "int8"),
        ("uint8", "int8", "float32"),
        ("int16", "int16", "int64"),
        ("int64", "int64", "uint16"),
        ("float32", "float32", "float64"),
        ("float64", "float64", "float32"),
        ("float32", "float32", "complex64"),
        ("float32", "float32", BFLOAT16),
        (BFLOAT16, BFLOAT16, "float32"),
        ("bool", "bool", "uint16"),
    ],
)
def test_dtype_overrides(x_dtype: Any, grad_dtype: Any, dtype: Any, algorithm: str) -> None:
    """`dtype` is the dtype of the result; integers wrap into it."""
    x, grad = numbers((2, 5, 6), np.dtype(x_dtype), 0), numbers((3, 5, 6), np.dtype(grad_dtype), 1)
    window = Window((5, 6), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1))
    sums = oracles.weight_gradient(x, grad, (3, 2, 3, 3), "CHW", window)
    result = by(algorithm, conv_weight_gradient, x, grad, 3, padding=1, dtype=dtype)
    np.testing.assert_array_equal(result, stored(sums, np.dtype(dtype)), strict=True)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("code", "bhilqBHILQ")
def test_integers_wrap(code: str, algorithm: str) -> None:
    """At the ends of their ranges, sums are those of integers modulo the width."""
    dtype = np.dtype(code)
    info, rng = np.iinfo(dtype), np.random.default_rng(0)
    x, grad = (rng.integers(info.min, info.max, s, dtype, endpoint=True) for s in ((2, 2, 5, 4), (2, 3, 5, 4)))
    window = Window((5, 4), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1))
    sums = oracles.weight_gradient(x, grad, (3, 2, 3, 3), "NCHW", window)
    result = by(algorithm, conv_weight_gradient, x, grad, 3, padding=1)
    np.testing.assert_array_equal(result, stored(sums, result_dtype(dtype, dtype)), strict=True)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", LAYER_DTYPES, ids=str)
def test_layers_of_many_channels(dtype: np.dtype[Any], name: str) -> None:
    """Channels, filters and pixels that fill the engine's tiles, and more; exactly, with threads and little memory."""
    batch, filters, spatial, per_group, kernel, window = LAYERS[name]
    stride, dilation, groups = (window[option] for option in ("stride", "dilation", "groups"))
    padded = [stride * (n - 1) + dilation * (k - 1) + 1 for n, k in zip(spatial, kernel, strict=True)]
    x = numbers((batch, groups * per_group, padded[0] - 3, padded[1] - 3), dtype, 0)
    grad = numbers((batch, filters, *spatial), dtype, 1)
    image = np.pad(oracles.wide(x), ((0, 0), (0, 0), (1, 2), (1, 2))).reshape(batch, groups, per_group, *padded)
    maps = oracles.wide(grad).reshape(batch, groups, -1, *spatial)
    expected = np.empty((groups, filters // groups, per_group, *kernel), maps.dtype)
    for tap in np.ndindex(*kernel):
        seen: list[Any] = [
            slice(t * dilation, t * dilation + stride * n, stride) for t, n in zip(tap, spatial, strict=True)
        ]
        pixels = image[(..., *seen)].conj()
        expected[(..., *tap)] = np.einsum("ngfyx,ngcyx->gfc", maps, pixels, optimize=True)
    right = narrowed(expected.reshape(filters, per_group, *kernel), result_dtype(dtype, dtype))
    for algorithm in ("implicit", "explicit"):
        for threads, limit in ((1, 64 << 20), (2, 60_000)):
            options: dict[str, Any] = {**window, "threads": threads, "workspace_limit": limit}
            result = by(algorithm, conv_weight_gradient, x, grad, kernel, padding=((1, 2), (1, 2)), **options)
            np.testing.assert_array_equal(result, right, strict=True)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", [np.dtype(np.float16), BFLOAT16], ids=str)
def test_short_floats_accumulate_in_float32(dtype: np.dtype[Any], algorithm: str) -> None:
    """4096 ones sum to 4096, where a 16-bit sum would stop at 2048 or 256; over positions and over images."""
    x, grad = np.ones((4, 1, 1025), dtype), np.ones((4, 1, 1024), dtype)
    result = by(algorithm, conv_weight_gradient, x, grad, (2,))
    np.testing.assert_array_equal(result, [[[4096, 4096]]])


# The adjoint, exactly.


@given(case=convolutions(KINDS), algorithm=st.sampled_from(ALGORITHMS))
def test_it_is_the_adjoint_of_conv(case: Convolution, algorithm: str) -> None:
    """``<conv(x, w), grad> == <w, conv_weight_gradient(x, grad)> == <x, conv_input_gradient(grad, w)>``."""
    x, w = case.operands(case.image_shape, case.weight_shape)
    grad = numbers(case.output_shape, case.dtypes[1], case.seeds[0] ^ 1)
    forward = np.vdot(conv(x, w, **case.arguments), grad)
    back = by(algorithm, conv_weight_gradient, x, grad, case.window.kernel_size, **case.arguments)
    assert back.shape == w.shape
    assert forward == np.vdot(w, back)
    assert forward == np.vdot(x, by(algorithm, conv_input_gradient, grad, w, x.shape, **case.arguments))


# Bits.


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", ["float32", "complex64", "float16", "longdouble"])
@pytest.mark.parametrize(("stride", "groups", "mode"), [(1, 1, "constant"), (2, 2, "constant"), (2, 1, "reflect")])
def test_threads_do_not_change_a_bit(stride: int, groups: int, mode: str, dtype: str, algorithm: str) -> None:
    """Any number of threads gives the same bits, in small blocks too."""
    side = 6 if algorithm == "reference" else 20
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, 2 * groups, side, side)).astype(dtype), (side - 1) // stride + 1
    grad = rng.standard_normal((3, 4, y, y)).astype(dtype)
    for limit in (64 << 20, 20_000):
        options: dict[str, Any] = {"stride": stride, "padding": 1, "groups": groups, "padding_mode": mode}
        options["workspace_limit"] = limit
        results = [bits(by(algorithm, conv_weight_gradient, x, grad, 3, threads=t, **options)) for t in (1, 2, 3)]
        assert len(set(results)) == 1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(("stride", "dilation", "groups"), [(1, 1, 1), (2, 1, 2), (1, 2, 1)])
def test_pixels_do_not_leak(stride: int, dilation: int, groups: int, bad: float, algorithm: str) -> None:
    """A pixel that is no number reaches the weights that meet it, in the filters of its own group."""
    x = numbers((2, 4, 6, 5), FLOAT, 0)
    options: dict[str, Any] = {"padding": 1, "stride": stride, "dilation": dilation, "groups": groups}
    grad = np.abs(numbers(conv(x, np.zeros((4, 4 // groups, 2, 3)), **options).shape, FLOAT, 1)) + 1
    window = Window((6, 5), (2, 3), (stride,) * 2, ((1, 1),) * 2, (dilation,) * 2)
    pixel, only = (1, 3, 0, 0), np.zeros_like(x)
    only[pixel] = 1
    reached = oracles.weight_gradient(only, grad, (4, 4 // groups, 2, 3), "NCHW", window, groups=groups) != 0
    assert 0 < np.count_nonzero(reached) < reached.size
    clean = by(algorithm, conv_weight_gradient, x, grad, (2, 3), **options)
    x[pixel] = bad
    result = by(algorithm, conv_weight_gradient, x, grad, (2, 3), workspace_limit=4000, **options)
    np.testing.assert_array_equal(np.isfinite(result), ~reached)
    np.testing.assert_allclose(result[~reached], clean[~reached], rtol=0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_filters_do_not_leak(bad: float, algorithm: str) -> None:
    """A gradient that is no number reaches its own filter's weights alone."""
    x, grad = np.abs(numbers((2, 4, 6, 5), FLOAT, 0)) + 1, numbers((2, 4, 5, 3), FLOAT, 1)
    clean = by(algorithm, conv_weight_gradient, x, grad, (2, 3), groups=2)
    grad[1, 2, 3, 1] = bad
    result = by(algorithm, conv_weight_gradient, x, grad, (2, 3), groups=2)
    assert not np.isfinite(result[2]).any()
    np.testing.assert_array_equal(result[[0, 1, 3]], clean[[0, 1, 3]])


# Oracles from outside.


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("mode", TORCH_MODES)
@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"), [(1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 2), (3, 1, 1, 4), (2, 2, 2, 4)]
)
def test_torch(torch: Any, mode: Any, k: int, stride: int, padding: int, dilation: int, groups: int) -> None:
    """Torch's autograd through its padding and conv1d, conv2d, conv3d gives our gradients, the bias's too."""
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.standard_normal((2, 4, *(7, 6, 5)[:k])))
    w = torch.tensor(rng.standard_normal((8, 4 // groups, *(3, 2, 2)[:k])), requires_grad=True)
    bias = torch.zeros(8, dtype=torch.float64, requires_grad=True)
    padded = torch.nn.functional.pad(x, (padding, padding + 1) * k, mode=TORCH_MODES[mode])
    options: dict[str, Any] = {"stride": stride, "dilation": dilation, "groups": groups}
    y = getattr(torch.nn.functional, f"conv{k}d")(padded, w, bias, **options)
    grad = torch.tensor(rng.standard_normal(tuple(y.shape)))
    theirs, of_bias = torch.autograd.grad(y, (w, bias), grad)
    options |= {"padding": ((padding, padding + 1),) * k, "padding_mode": mode}
    for algorithm in ("auto", "explicit"):
        result = by(algorithm, conv_weight_gradient, x.numpy(), grad.numpy(), tuple(w.shape[2:]), **options)
        np.testing.assert_allclose(result, theirs.numpy(), rtol=1e-12, atol=1e-12)
    layout = "NC" + "DHW"[3 - k :]
    np.testing.assert_allclose(conv_bias_gradient(grad.numpy(), layout=layout), of_bias.numpy(), rtol=1e-12, atol=1e-12)


def test_torch_complex(torch: Any) -> None:
    """Torch's autograd conjugates a complex image too."""
    x = torch.tensor(numbers((1, 2, 5, 5), np.dtype(complex), 0))
    w = torch.tensor(numbers((3, 2, 3, 3), np.dtype(complex), 1), requires_grad=True)
    grad = torch.tensor(numbers((1, 3, 2, 2), np.dtype(complex), 2))
    (theirs,) = torch.autograd.grad(torch.nn.functional.conv2d(x, w, stride=2), w, grad)
    np.testing.assert_array_equal(conv_weight_gradient(x.numpy(), grad.numpy(), 3, stride=2), theirs.numpy())


@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("padding", [((1, 2), (0, 4)), "same", "causal"])
def test_central_differences(padding: Any, mode: Any) -> None:
    """The slope of ``sum(conv(x)²)/2`` at every weight; of a quadratic, differences are exact but for rounding."""
    rng = np.random.default_rng(0)
    x, w, bias = rng.standard_normal((2, 2, 4, 5)), rng.standard_normal((4, 1, 3, 2)), rng.standard_normal(4)
    options: dict[str, Any] = {"stride": (2, 1), "padding": padding, "padding_mode": mode, "groups": 2}
    options |= {"dilation": (1, 2), "flip": True, "padding_value": 0.5}

    def loss(filters: Array, offsets: Array) -> float:
        return float(np.sum(conv(x, filters, offsets, **options) ** 2)) / 2

    grad = conv(x, w, bias, **options)
    result, of_bias = conv_weight_gradient(x, grad, (3, 2), **options), conv_bias_gradient(grad)
    for weight in np.ndindex(*w.shape):
        step = np.zeros_like(w)
        step[weight] = 0.5
        slope = loss(w + step, bias) - loss(w - step, bias)
        assert slope == pytest.approx(result[weight], rel=1e-9, abs=1e-9)
    for f in range(4):
        step = np.where(np.arange(4) == f, 0.5, 0)
        assert loss(w, bias + step) - loss(w, bias - step) == pytest.approx(of_bias[f], rel=1e-9, abs=1e-9)


# Edges.


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("mode", ["constant", "edge"])
def test_empty(mode: Any, algorithm: str) -> None:
    """No images give zeros; no channels and no filters give an empty gradient."""
    options: dict[str, Any] = {"padding": 1, "padding_mode": mode}
    out = np.full((3, 2, 3, 3), np.nan)
    x, grad = np.ones((0, 2, 4, 4)), np.ones((0, 3, 4, 4))
    assert by(algorithm, conv_weight_gradient, x, grad, 3, out=out, **options) is out
    np.testing.assert_array_equal(out, np.zeros((3, 2, 3, 3)))
    x, grad = np.ones((2, 0, 4, 4)), np.ones((2, 3, 4, 4))
    assert by(algorithm, conv_weight_gradient, x, grad, 3, **options).shape == (3, 0, 3, 3)
    x, grad = np.ones((2, 2, 4, 4)), np.ones((2, 0, 4, 4))
    assert by(algorithm, conv_weight_gradient, x, grad, 3, **options).shape == (0, 2, 3, 3)


@pytest.fixture
def tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let layers of few filters have the tiles of many, too: those that walk rows are left out."""
    forget_choices()
    if request.param == "tiles of filters":
        monkeypatch.setattr(rows, "decide_rows", lambda *_: None)
    yield
    forget_choices()


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("tiles", ["any tiles", "tiles of filters"], indirect=True)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("kernel", [(1, 1), (7, 5), (1, 5), (7, 1)])
@pytest.mark.parametrize("stride", [1, 2, 5])
def test_kernels_from_one_pixel_to_the_image(kernel: tuple[int, int], stride: int, algorithm: str) -> None:
    """From a 1×1 kernel to one as large as the image, over prime sizes."""
    window = Window((7, 5), kernel, (stride, stride), ((0, 0),) * 2, (1, 1))
    x, grad = numbers((3, 7, 5), INT, 0), numbers((5, *window.output_shape), INT, 1)
    result = by(algorithm, conv_weight_gradient, x, grad, kernel, stride=stride)
    np.testing.assert_array_equal(result, oracles.weight_gradient(x, grad, (5, 3, *kernel), "CHW", window).astype(int))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_taps_that_see_padding_only(algorithm: str) -> None:
    """A tap that never meets the image sums the padding value times the gradient."""
    x, grad = np.array([[[5]]]), np.arange(1, 10).reshape(1, 3, 3)
    expected = np.array([[45, 45, 45], [45, 45, 45], [45, 45, 45]]) * 2
    for tap in np.ndindex(3, 3):  # of 9 positions, each tap meets the pixel at one
        expected[tap] += (5 - 2) * grad[0, 2 - tap[0], 2 - tap[1]]
    result = by(algorithm, conv_weight_gradient, x, grad, 3, padding=2, padding_value=2)
    np.testing.assert_array_equal(result[0, 0], expected)
    far = by(algorithm, conv_weight_gradient, x, grad[:, :1, :1], 3, padding=((0, 2), (0, 2)))
    np.testing.assert_array_equal(far[0, 0], [[5, 0, 0], [0, 0, 0], [0, 0, 0]])


def test_by_hand() -> None:
    """One axis on paper."""
    np.testing.assert_array_equal(conv_weight_gradient([1, 2, 4, 8], [1, 10], (3,)), [[[21, 42, 84]]])
    np.testing.assert_array_equal(conv_weight_gradient([1, 2, 4, 8], [1, 10], (3,), flip=True), [[[84, 42, 21]]])
    np.testing.assert_array_equal(conv_weight_gradient([1, 2, 4, 8], [1, 10], 2, stride=2, layout="W"), [[[41, 82]]])
    np.testing.assert_array_equal(conv_weight_gradient([1, 2], [1, 10], (3,), padding=1), [[[10, 21, 2]]])
    edge = conv_weight_gradient([1, 2], [1, 10], (3,), padding=1, padding_mode="edge")
    np.testing.assert_array_equal(edge, [[[11, 21, 22]]])
    np.testing.assert_array_equal(conv_weight_gradient([1j, 1], [1j], (2,)), [[[1, 1j]]])
    np.testing.assert_array_equal(conv_weight_gradient(np.ones((2, 2)), np.ones((1, 1)), 2), np.ones((1, 1, 2, 2)))


# The bias.


@given(ndim=spatial_ndims(), data=st.data(), dtype=dtypes(), seed=seeds(), memory=memory_orders())
def test_conv_bias_gradient_is_the_sum(
    ndim: int, data: st.DataObject, dtype: np.dtype[Any], seed: int, memory: str
) -> None:
    """Over all axes but the channels', in any layout, dtype and memory order, into `out` too."""
    layout = data.draw(layouts(ndim))
    shape = tuple(data.draw(st.sampled_from([3, 1, 2, 0]) if axis in "NC" else st.integers(1, 4)) for axis in layout)
    grad = numbers(shape, dtype, seed)
    moved = MEMORY_ORDERS[memory](grad)
    sums = np.full(shape[layout.index("C")] if "C" in layout else 1, 0, object)
    for index, value in np.ndenumerate(oracles.python_numbers(grad)):
        sums[index[layout.index("C")] if "C" in layout else 0] += value
    result = conv_bias_gradient(moved, layout=layout)
    assert result.dtype.isnative
    assert result.dtype == dtype or dtype.kind in "biu"
    np.testing.assert_array_equal(result, stored(sums, result.dtype), strict=True)
    out = np.full_like(np.repeat(result, 2), 1)[::2]
    assert conv_bias_gradient(moved, layout=layout, out=out) is out
    np.testing.assert_array_equal(out, result)


def test_bias_layouts_by_number_of_axes() -> None:
    """Three axes are CHW, four are NCHW."""
    grad = numbers((2, 3, 4, 5), INT, 0)
    np.testing.assert_array_equal(conv_bias_gradient(grad), grad.sum((0, 2, 3)))
    np.testing.assert_array_equal(conv_bias_gradient(grad[0]), grad[0].sum((1, 2)))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_bias_sums_do_not_stop_early(dtype: np.dtype[Any]) -> None:
    """4096 ones are 4096: in float32 for 16-bit floats, in a dtype that holds them for 8-bit integers."""
    assert complex(conv_bias_gradient(np.ones((1, 64, 64), dtype))[0]) == 4096


def test_bias_dtype() -> None:
    """`dtype` is the result's."""
    assert conv_bias_gradient(np.ones((1, 2, 2), np.float32), dtype="float64").dtype == np.float64
    np.testing.assert_array_equal(conv_bias_gradient(np.full((1, 2, 2), 100, np.uint8), dtype="uint8"), [400 - 256])


@pytest.mark.parametrize(
    ("error", "match", "wrong"),
    [
        (DTypeError, "grad is a masked array", {"grad": np.ma.masked_array(np.ones((2, 3, 3)))}),
        (LayoutError, "axes", {"layout": "NCHW"}),
        (LayoutError, "layout", {"layout": "chw"}),
        (LayoutError, "axes", {"grad": np.ones(3)}),
        (DTypeError, "dtype", {"dtype": "int32"}),
        (OutputError, r"out has shape \(3,\)", {"out": np.full(3, 7.0)}),
        (OutputError, "out has dtype float32", {"out": np.full(2, 7, np.float32)}),
        (OutputError, "out is read-only", {"out": np.broadcast_to(7.0, 2)}),
    ],
)
def test_bias_wrong_arguments(error: type[Exception], match: str, wrong: dict[str, Any]) -> None:
    """Each is refused by name, and `out` stays as it was."""
    check_refused(conv_bias_gradient, {"grad": np.ones((2, 3, 3)), "out": np.empty(2)}, error, match, wrong)


# Errors.

X, GRAD = np.ones((1, 2, 5, 5)), np.ones((1, 3, 3, 3))
WRONG: list[tuple[type[Exception], str, dict[str, Any]]] = [
    # The arrays.
    (DTypeError, "x is a masked array", {"x": np.ma.masked_array(X)}),
    (DTypeError, "grad is a masked array", {"grad": np.ma.masked_array(GRAD)}),
    (DTypeError, "grad has dtype object", {"grad": GRAD.astype(object)}),
    (ShapeError, r"grad .*\(1, 3, 3, 4\).*\(1, 3, 3, 3\)", {"grad": np.ones((1, 3, 3, 4))}),
    (ShapeError, r"grad .*\(2, 3, 3, 3\).*\(1, 3, 3, 3\)", {"grad": np.ones((2, 3, 3, 3))}),
    (ShapeError, r"grad .*\(3, 3, 3\)", {"grad": GRAD[0]}),
    (ShapeError, r"grad .*\(1, 3, 3, 3\).*\(1, 3, 2, 2\)", {"kernel_size": 4}),
    (ShapeError, "groups=3", {"groups": 3}),
    (ShapeError, "groups=2", {"groups": 2}),
    (LayoutError, "axes", {"kernel_size": (3,) * 5}),
    (LayoutError, "layout 'HWC'", {"layout": "HWC"}),
    # The window.
    (GeometryError, "axis H", {"kernel_size": 6}),
    (GeometryError, "kernel_size must be at least 1, got 0", {"kernel_size": 0}),
    (GeometryError, "kernel_size", {"kernel_size": 2.5}),
    (GeometryError, "stride must be at least 1, got 0", {"stride": 0}),
    (GeometryError, "dilation must be at least 1, got -1", {"dilation": -1}),
    (GeometryError, "groups", {"groups": 0}),
    (GeometryError, "padding", {"padding": -1}),
    (ArgumentError, "padding .*'samw'", {"padding": "samw"}),
    (ArgumentError, "padding_mode must be one of .*'mirror'", {"padding_mode": "mirror"}),
    # Options.
    (ArgumentError, "algorithm.*'fast'", {"algorithm": "fast"}),
    (ArgumentError, "threads must be a positive integer or None, got 0", {"threads": 0}),
    (GeometryError, "workspace_limit", {"workspace_limit": 0}),
    (DTypeError, "dtype", {"dtype": "int32"}),
    # out.
    (OutputError, r"out has shape \(3, 2, 3, 2\)", {"out": np.full((3, 2, 3, 2), 7.0)}),
    (OutputError, "out has dtype float32", {"out": np.full((3, 2, 3, 3), 7, np.float32)}),
    (OutputError, "out is a list", {"out": [7.0]}),
    (OutputError, "out is read-only", {"out": np.broadcast_to(7.0, (3, 2, 3, 3))}),
]


@pytest.mark.parametrize(("error", "match", "wrong"), WRONG)
def test_wrong_arguments(error: type[Exception], match: str, wrong: dict[str, Any]) -> None:
    """Each is refused by name, and `out` stays as it was."""
    good = {"x": X, "grad": GRAD, "kernel_size": 3, "out": np.empty((3, 2, 3, 3))}
    check_refused(conv_weight_gradient, good, error, match, wrong)


def test_out_may_not_share_memory() -> None:
    """Neither with an operand nor with itself."""
    x, grad, memory = np.ones((2, 8)), np.ones((3, 6)), np.ones(40)
    message = r"\Aconv_weight_gradient: out shares memory with an input"
    with pytest.raises(OutputError, match=message):
        conv_weight_gradient(memory[:16].reshape(2, 8), grad, (3,), out=memory[15:33].reshape(3, 2, 3))
    with pytest.raises(OutputError, match=message):
        conv_weight_gradient(x, memory[:18].reshape(3, 6), (3,), out=memory[17:35].reshape(3, 2, 3))
    out = np.lib.stride_tricks.as_strided(np.empty(18), (3, 2, 3), (8, 8, 8))
    with pytest.raises(OutputError, match=r"\Aconv_weight_gradient: out has elements that share memory"):
        conv_weight_gradient(x, grad, (3,), out=out)


def test_results_beyond_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is allocated."""
    monkeypatch.setattr(host, "available_memory", lambda: 1 << 20)
    x, grad = np.broadcast_to(np.float32(1), (4096, 1, 1)), np.broadcast_to(np.float32(1), (2048, 1, 1))
    with pytest.raises(MemoryBudgetError, match=r"\Aconv_weight_gradient: .* 1\.0 MiB are available"):
        conv_weight_gradient(x, grad, 1)


@pytest.mark.parametrize("keyword", ["strides", "bias", "activation", "image_shape"])
def test_unknown_keywords(keyword: str) -> None:
    """A keyword that it does not have is a TypeError in its name."""
    arguments: dict[str, Any] = {keyword: 2}
    message = rf"\Aconv_weight_gradient\(\) got an unexpected keyword argument '{keyword}'"
    with pytest.raises(TypeError, match=message):
        conv_weight_gradient(X, GRAD, 3, **arguments)


@pytest.mark.parametrize("layout", ["CNHW", "CHWN", "HWCN", "HWNC", "NHWC", "NCHW"])
@pytest.mark.parametrize("filters", [32, 5])
@pytest.mark.parametrize("memory", ["C", "backwards", "swapped", "rotated"])
def test_batches_anywhere_in_memory(layout: str, filters: int, memory: str) -> None:
    """Large batches that are read in place or copied, with the batch axis outermost, innermost or between."""
    x, grad = numbers((16, 20, 18, 17), np.dtype("f4"), 1), numbers((16, filters, 16, 15), np.dtype("f4"), 2)
    expected = conv_weight_gradient(x.astype(np.int64), grad.astype(np.int64), 3, algorithm="explicit")
    order = ["NCHW".index(axis) for axis in layout]
    image, gradient = (MEMORY_ORDERS[memory](np.ascontiguousarray(a.transpose(order))) for a in (x, grad))
    result = conv_weight_gradient(image, gradient, 3, layout=layout)
    np.testing.assert_array_equal(result, expected.astype(np.float32), strict=True)


def test_groups_may_be_numpys_integers() -> None:
    """As every other number of a window."""
    x, grad = numbers((2, 4, 6, 6), np.dtype("f8"), 1), numbers((2, 6, 4, 4), np.dtype("f8"), 2)
    np.testing.assert_array_equal(
        conv_weight_gradient(x, grad, 3, groups=np.int64(2)),  # type: ignore[arg-type]  # which users pass
        conv_weight_gradient(x, grad, 3, groups=2),
        strict=True,
    )


@pytest.mark.parametrize("layout", ["NHWC", "NCHW", "CHWN"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_long_sums_of_a_bias_keep_their_digits(layout: str, dtype: str) -> None:
    """Sums of 2²⁵ ones, which one float32 cannot count to one by one."""
    grad = np.broadcast_to(np.ones((), dtype), [{"N": 2, "H": 4096, "W": 4096, "C": 2}[axis] for axis in layout])
    result = conv_bias_gradient(np.ascontiguousarray(grad), layout=layout, dtype=np.float32)
    np.testing.assert_array_equal(result, np.full(2, 2.0**25, np.float32), strict=True)


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("tiles", ["any tiles", "tiles of filters"], indirect=True)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("limit", [1, 500, 5_000, 20_000, 100_000])
def test_sums_in_boxes_of_any_size(layout: str, limit: int) -> None:
    """However few positions the workspace holds at a time, each box of them meets its own pixels."""
    x, grad = numbers((2, 3, 19, 23), np.dtype("f4"), 1), numbers((2, 20, 9, 11), np.dtype("f4"), 2)
    options: dict[str, Any] = {"stride": 2, "layout": layout}
    order = ["NCHW".index(axis) for axis in layout]
    image, gradient = (np.ascontiguousarray(a.transpose(order)) for a in (x, grad))
    expected = conv_weight_gradient(image.astype(np.int64), gradient.astype(np.int64), 3, **options)
    result = conv_weight_gradient(image, gradient, 3, algorithm="implicit", workspace_limit=limit, **options)
    np.testing.assert_array_equal(result, expected.astype(np.float32), strict=True)
