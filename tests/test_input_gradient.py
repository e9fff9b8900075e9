"""`conv_input_gradient` against plain loops, the identity of the adjoint, torch, central differences; its errors."""

from __future__ import annotations

from typing import Any

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
    conv_input_gradient,
)
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
from .kit.outcomes import require
from .kit.strategies import (
    BFLOAT16,
    MEMORY_ORDERS,
    PADDING_MODES,
    PADDING_NAMES,
    Convolution,
    convolutions,
    memory_orders,
    numbers,
)

Array = NDArray[Any]


# The definition.


@given(case=convolutions())
def test_conv_input_gradient_is_the_definition(case: Convolution) -> None:
    """Any convolution, with every argument: each pixel is the sum over its products, exactly, in the right dtype."""
    grad, w = case.operands(case.output_shape, case.weight_shape)
    sums = oracles.input_gradient(grad, w, case.image_shape, case.layout, case.window, **case.options)
    arrays = case.laid_out(grad, w)
    dtype = result_dtype(*case.dtypes)
    check_every_algorithm(conv_input_gradient, sums, dtype, *arrays, case.image_shape, **case.arguments)


@given(case=convolutions(), memory=memory_orders().filter(lambda order: order not in {"read-only", "swapped"}))
def test_out_is_filled_and_the_operands_are_not_changed(case: Convolution, memory: str) -> None:
    """`out` of any strides holds the result and is returned; grad and w are as they were."""
    arrays = case.laid_out(*case.operands(case.output_shape, case.weight_shape))
    before = [a.copy() for a in arrays]
    grad, w = arrays
    expected = conv_input_gradient(grad, w, case.image_shape, algorithm="reference", **case.arguments)
    for algorithm in ALGORITHMS:
        out = MEMORY_ORDERS[memory](np.ones_like(expected))
        assert by(algorithm, conv_input_gradient, *arrays, case.image_shape, out=out, **case.arguments) is out
        np.testing.assert_array_equal(out, expected, err_msg=algorithm)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "CHWN"])
@pytest.mark.parametrize("mode", ["constant", "reflect"])
@pytest.mark.parametrize("order", OUTPUTS)
def test_nothing_beside_out_is_written(order: str, mode: Any, layout: str, algorithm: str) -> None:
    """What lies between the elements of a strided `out` stays."""
    sizes = {"N": 2, "C": 3, "H": 5, "W": 4}
    image_shape = tuple(sizes[a] for a in layout)
    w = numbers((4, 3, 2, 3), FLOAT, 1)
    options: dict[str, Any] = {"layout": layout, "stride": 2, "padding": 1, "padding_mode": mode}
    grad = numbers(conv(np.zeros(image_shape), w, **options).shape, FLOAT, 0)
    expected = conv_input_gradient(grad, w, image_shape, algorithm="reference", **options)
    out = OUTPUTS[order](image_shape)
    out[...] = np.nan
    assert by(algorithm, conv_input_gradient, grad, w, image_shape, out=out, **options) is out
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
    grad, w = numbers((3, *window.output_shape), INT, 0), numbers((3, 2, *kernel), INT, 1)
    options: dict[str, Any] = {"padding": name, "padding_mode": mode, "stride": 2, "dilation": dilation}
    result = by(algorithm, conv_input_gradient, grad, w, shape, **options)
    sums = oracles.input_gradient(grad, w, shape, "CHW", window, mode=mode)
    np.testing.assert_array_equal(result, sums.astype(int))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("grad_dtype", "w_dtype", "dtype"),
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
@pytest.mark.parametrize("mode", ["constant", "wrap"])
def test_dtype_overrides(mode: Any, grad_dtype: Any, w_dtype: Any, dtype: Any, algorithm: str) -> None:
    """`dtype` is the dtype of the result; integers wrap into it."""
    grad, w = numbers((3, 5, 6), np.dtype(grad_dtype), 0), numbers((3, 2, 3, 3), np.dtype(w_dtype), 1)
    window = Window((5, 6), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1))
    sums = oracles.input_gradient(grad, w, (2, 5, 6), "CHW", window, mode=mode)
    options: dict[str, Any] = {"padding": 1, "padding_mode": mode, "dtype": dtype}
    result = by(algorithm, conv_input_gradient, grad, w, (2, 5, 6), **options)
    np.testing.assert_array_equal(result, stored(sums, np.dtype(dtype)), strict=True)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("mode", ["constant", "symmetric"])
@pytest.mark.parametrize("code", "bhilqBHILQ")
def test_integers_wrap(code: str, mode: Any, algorithm: str) -> None:
    """At the ends of their ranges, sums are those of integers modulo the width."""
    dtype = np.dtype(code)
    info, rng = np.iinfo(dtype), np.random.default_rng(0)
    grad, w = (rng.integers(info.min, info.max, s, dtype, endpoint=True) for s in ((3, 4, 4), (3, 2, 3, 3)))
    window = Window((4, 4), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1))
    sums = oracles.input_gradient(grad, w, (2, 4, 4), "CHW", window, mode=mode)
    result = by(algorithm, conv_input_gradient, grad, w, (2, 4, 4), padding=1, padding_mode=mode)
    np.testing.assert_array_equal(result, stored(sums, result_dtype(dtype, dtype)), strict=True)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(
    ("dtype", "mode"),
    [*((dtype, "constant") for dtype in LAYER_DTYPES), (np.dtype(np.float16), "reflect")],
    ids=str,
)
def test_layers_of_many_channels(dtype: np.dtype[Any], mode: Any, name: str) -> None:
    """Channels, filters and pixels that fill the engine's tiles, and more; exactly, with threads and little memory."""
    batch, filters, spatial, channels, kernel, window = LAYERS[name]
    grad, w = numbers((batch, filters, *spatial), dtype, 0), numbers((filters, channels, *kernel), dtype, 1)
    expected = oracles.transposed_sums(grad, w, conjugate=True, **window)
    for axis in (2, 3):  # padded by 1 and 2
        whole = np.moveaxis(expected, axis, 0)
        inner, n = whole[1:-2].copy(), len(whole) - 3
        if mode == "reflect":
            np.add.at(inner, [1, n - 2, n - 3], whole[[0, -2, -1]])
        expected = np.moveaxis(inner, 0, axis)
    options: dict[str, Any] = {**window, "padding": ((1, 2), (1, 2)), "padding_mode": mode}
    right = narrowed(expected, result_dtype(dtype, dtype))
    for algorithm in ("implicit", "explicit"):
        for threads, limit in ((1, 64 << 20), (2, 60_000)):
            extra: dict[str, Any] = {"threads": threads, "workspace_limit": limit}
            result = by(algorithm, conv_input_gradient, grad, w, expected.shape, **options, **extra)
            np.testing.assert_array_equal(result, right, strict=True)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", [np.dtype(np.float16), BFLOAT16], ids=str)
def test_short_floats_accumulate_in_float32(dtype: np.dtype[Any], algorithm: str) -> None:
    """Ones sum past 2048 and 256, where a 16-bit sum would stop: over filters, taps, and copies in the padding."""
    grad, w = np.ones((1024, 4), dtype), np.ones((1024, 1, 4), dtype)
    result = by(algorithm, conv_input_gradient, grad, w, (1, 7))
    np.testing.assert_array_equal(result, [[1024, 2048, 3072, 4096, 3072, 2048, 1024]])
    wide = np.ones((1, 4097), dtype)
    options: dict[str, Any] = {"padding": 2048, "padding_mode": "edge"}
    result = by(algorithm, conv_input_gradient, wide, w[:1, :, :1], (1, 1), **options)
    np.testing.assert_array_equal(result, np.array([[4097]], dtype))


# The adjoint, exactly.


@given(case=convolutions(KINDS), algorithm=st.sampled_from(ALGORITHMS))
def test_it_is_the_adjoint_of_conv(case: Convolution, algorithm: str) -> None:
    """``<conv(x, w), grad> == <x, conv_input_gradient(grad, w)>``, with every padding mode."""
    x, w = case.operands(case.image_shape, case.weight_shape)
    grad = numbers(case.output_shape, case.dtypes[1], case.seeds[0] ^ 1)
    back = by(algorithm, conv_input_gradient, grad, w, case.image_shape, **case.arguments)
    assert np.vdot(conv(x, w, **case.arguments), grad) == np.vdot(x, back)


# Bits.


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", ["float32", "complex64", "float16", "longdouble"])
@pytest.mark.parametrize(("stride", "groups", "mode"), [(1, 1, "constant"), (2, 2, "constant"), (2, 1, "reflect")])
def test_threads_do_not_change_a_bit(stride: int, groups: int, mode: str, dtype: str, algorithm: str) -> None:
    """Any number of threads gives the same bits, in small blocks too."""
    side = 6 if algorithm == "reference" else 20
    rng = np.random.default_rng(0)
    w = rng.standard_normal((4, 2, 3, 3)).astype(dtype)
    shape, y = (2, 2 * groups, side, side), (side - 1) // stride + 1
    grad = rng.standard_normal((2, 4, y, y)).astype(dtype)
    for limit in (64 << 20, 20_000):
        options: dict[str, Any] = {"stride": stride, "padding": 1, "groups": groups, "padding_mode": mode}
        options["workspace_limit"] = limit
        results = [bits(by(algorithm, conv_input_gradient, grad, w, shape, threads=t, **options)) for t in (1, 2, 3)]
        assert len(set(results)) == 1


@pytest.mark.parametrize("algorithm", ["auto", "implicit", "reference"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", ["constant", "wrap"])
@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 1), (2, 2), (3, 4)])
def test_the_batch_does_not_change_a_bit(stride: int, groups: int, mode: Any, dtype: str, algorithm: str) -> None:
    """An image's gradient has the same bits alone and in a batch."""
    if algorithm != "reference":
        require("llvmlite")  # "explicit" leaves the sums to BLAS
    side = 5 if algorithm == "reference" else 17
    rng = np.random.default_rng(0)
    w, y = rng.standard_normal((4, 3, 3, 3)).astype(dtype), (side - 1) // stride + 1
    grad = rng.standard_normal((3, 4, y, y)).astype(dtype)
    options: dict[str, Any] = {"stride": stride, "padding": 1, "groups": groups, "padding_mode": mode, "threads": 2}
    shape = (3 * groups, side, side)
    alone = [by(algorithm, conv_input_gradient, g[None], w, (1, *shape), **options)[0] for g in grad]
    together = by(algorithm, conv_input_gradient, grad, w, (3, *shape), **options)
    np.testing.assert_array_equal(together, np.stack(alone), strict=True)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (3, 2)])
def test_outputs_do_not_leak(stride: int, dilation: int, bad: float, mode: Any, algorithm: str) -> None:
    """A gradient that is no number reaches the pixels that its window read, and no other."""
    shape, w = (2, 4, 6, 5), np.abs(numbers((4, 2, 2, 3), FLOAT, 1)) + 1
    options: dict[str, Any] = {"padding": (1, 2), "stride": stride, "dilation": dilation, "padding_mode": mode}
    options["groups"] = 2
    grad = numbers(conv(np.zeros(shape), w, **options).shape, FLOAT, 0)
    window = Window((6, 5), (2, 3), (stride,) * 2, ((1, 1), (2, 2)), (dilation,) * 2)
    where, only = (1, 1, 1, 0), np.zeros_like(grad)
    only[where] = 1
    reached = oracles.input_gradient(only, w, shape, "NCHW", window, groups=2, mode=mode) != 0
    assert 0 < np.count_nonzero(reached) < reached.size
    clean = by(algorithm, conv_input_gradient, grad, w, shape, **options)
    grad[where] = bad
    result = by(algorithm, conv_input_gradient, grad, w, shape, workspace_limit=4000, **options)
    np.testing.assert_array_equal(np.isfinite(result), ~reached)
    np.testing.assert_array_equal(result[~reached], clean[~reached])


# Oracles from outside.


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("mode", TORCH_MODES)
@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"), [(1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 2), (3, 1, 1, 4), (2, 2, 2, 4)]
)
def test_torch(torch: Any, mode: Any, k: int, stride: int, padding: int, dilation: int, groups: int) -> None:
    """Torch's autograd through its padding and conv1d, conv2d, conv3d gives our gradient."""
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.standard_normal((2, 4, *(7, 6, 5)[:k])), requires_grad=True)
    w = torch.tensor(rng.standard_normal((8, 4 // groups, *(3, 2, 2)[:k])))
    padded = torch.nn.functional.pad(x, (padding, padding + 1) * k, mode=TORCH_MODES[mode])
    options: dict[str, Any] = {"stride": stride, "dilation": dilation, "groups": groups}
    y = getattr(torch.nn.functional, f"conv{k}d")(padded, w, **options)
    grad = torch.tensor(rng.standard_normal(tuple(y.shape)))
    (theirs,) = torch.autograd.grad(y, x, grad)
    options |= {"padding": ((padding, padding + 1),) * k, "padding_mode": mode}
    for algorithm in ("auto", "explicit"):
        result = by(algorithm, conv_input_gradient, grad.numpy(), w.numpy(), tuple(x.shape), **options)
        np.testing.assert_allclose(result, theirs.numpy(), rtol=1e-12, atol=1e-12)


def test_torch_complex(torch: Any) -> None:
    """Torch's autograd conjugates a complex weight too."""
    x = torch.tensor(numbers((1, 2, 5, 5), np.dtype(complex), 0), requires_grad=True)
    w = torch.tensor(numbers((3, 2, 3, 3), np.dtype(complex), 1))
    grad = torch.tensor(numbers((1, 3, 2, 2), np.dtype(complex), 2))
    (theirs,) = torch.autograd.grad(torch.nn.functional.conv2d(x, w, stride=2), x, grad)
    result = conv_input_gradient(grad.numpy(), w.numpy(), (1, 2, 5, 5), stride=2)
    np.testing.assert_array_equal(result, theirs.numpy())


@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("padding", [((1, 2), (0, 4)), "same", "causal"])
def test_central_differences(padding: Any, mode: Any) -> None:
    """The slope of ``sum(conv(x)²)/2`` at every pixel; of a quadratic, differences are exact but for rounding."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 2, 4, 5)), rng.standard_normal((4, 1, 3, 2))
    options: dict[str, Any] = {"stride": (2, 1), "padding": padding, "padding_mode": mode, "groups": 2}
    options |= {"dilation": (1, 2), "flip": True}

    def loss(image: Array) -> float:
        return float(np.sum(conv(image, w, **options) ** 2)) / 2

    result = conv_input_gradient(conv(x, w, **options), w, x.shape, **options)
    for pixel in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[pixel] = 0.5
        assert loss(x + step) - loss(x - step) == pytest.approx(result[pixel], rel=1e-9, abs=1e-9)


# Edges.


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("mode", ["constant", "edge"])
def test_empty(mode: Any, algorithm: str) -> None:
    """No images and no channels give an empty gradient, no filters give zeros."""
    options: dict[str, Any] = {"padding": 1, "padding_mode": mode}
    w = np.ones((3, 2, 3, 3))
    assert by(algorithm, conv_input_gradient, np.ones((0, 3, 4, 4)), w, (0, 2, 4, 4), **options).shape == (0, 2, 4, 4)
    grad = np.ones((2, 3, 4, 4))
    result = by(algorithm, conv_input_gradient, grad, np.ones((3, 0, 3, 3)), (2, 0, 4, 4), **options)
    assert result.shape == (2, 0, 4, 4)
    grad, out = np.ones((2, 0, 4, 4)), np.full((2, 2, 4, 4), np.nan)
    result = by(algorithm, conv_input_gradient, grad, np.ones((0, 2, 3, 3)), (2, 2, 4, 4), out=out, **options)
    np.testing.assert_array_equal(result, np.zeros((2, 2, 4, 4)))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pixels_that_no_window_reads_are_zero(algorithm: str) -> None:
    """Between windows, and behind the last one, in a new array and in one that held something else."""
    grad, w = np.ones((1, 2, 2)), np.full((1, 1, 1, 2), 3.0)
    expected = np.zeros((1, 6, 7))
    expected[0, ::3, [0, 1, 3, 4]] = 3
    np.testing.assert_array_equal(by(algorithm, conv_input_gradient, grad, w, (1, 6, 7), stride=3), expected)
    out = np.full((1, 6, 7), np.nan)
    np.testing.assert_array_equal(by(algorithm, conv_input_gradient, grad, w, (1, 6, 7), stride=3, out=out), expected)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("kernel", [(1, 1), (7, 5), (1, 5), (7, 1)])
@pytest.mark.parametrize("stride", [1, 2, 5])
def test_kernels_from_one_pixel_to_the_image(kernel: tuple[int, int], stride: int, algorithm: str) -> None:
    """From a 1×1 kernel to one as large as the image, over prime sizes."""
    window = Window((7, 5), kernel, (stride, stride), ((0, 0),) * 2, (1, 1))
    grad, w = numbers((5, *window.output_shape), INT, 0), numbers((5, 3, *kernel), INT, 1)
    result = by(algorithm, conv_input_gradient, grad, w, (3, 7, 5), stride=stride)
    sums = oracles.input_gradient(grad, w, (3, 7, 5), "CHW", window)
    np.testing.assert_array_equal(result, sums.astype(int))


def test_by_hand() -> None:
    """One axis on paper; the padded pixels' gradients go to where they were copied from."""
    w = [[[1, 2, 3]]]
    np.testing.assert_array_equal(conv_input_gradient([1, 10], w, (4,)), [1, 12, 23, 30])
    np.testing.assert_array_equal(conv_input_gradient([1, 10], w, (4,), flip=True), [3, 32, 21, 10])
    np.testing.assert_array_equal(conv_input_gradient([1, 10], w, (2,), padding=1), [12, 23])
    np.testing.assert_array_equal(conv_input_gradient([1, 10], w, (2,), padding=1, padding_mode="edge"), [13, 53])
    np.testing.assert_array_equal(conv_input_gradient([1, 10], w, (2,), padding=1, padding_mode="wrap"), [42, 24])
    np.testing.assert_array_equal(conv_input_gradient([1, 10], w, (2,), padding=1, padding_mode="reflect"), [42, 24])
    np.testing.assert_array_equal(conv_input_gradient([1j], [[[1, 1j]]], (2,)), [1j, 1])
    np.testing.assert_array_equal(by("auto", conv_input_gradient, [1, 10], w, [4]), [1, 12, 23, 30])


# Errors.

GRAD, W, SHAPE = np.ones((1, 3, 3, 3)), np.ones((3, 2, 3, 3)), (1, 2, 5, 5)
WRONG: list[tuple[type[Exception], str, dict[str, Any]]] = [
    # The arrays.
    (DTypeError, "grad is a masked array", {"grad": np.ma.masked_array(GRAD)}),
    (DTypeError, "w is a masked array", {"w": np.ma.masked_array(W)}),
    (DTypeError, "grad has dtype object", {"grad": GRAD.astype(object)}),
    (ShapeError, r"grad .*\(1, 3, 3, 4\).*\(1, 3, 3, 3\)", {"grad": np.ones((1, 3, 3, 4))}),
    (ShapeError, r"grad .*\(2, 3, 3, 3\).*\(1, 3, 3, 3\)", {"grad": np.ones((2, 3, 3, 3))}),
    (ShapeError, r"grad .*\(1, 4, 3, 3\)", {"grad": np.ones((1, 4, 3, 3))}),
    (ShapeError, r"grad .*\(3, 3, 3\)", {"grad": GRAD[0]}),
    (ShapeError, r"grad .*\(1, 3, 3, 3\).*\(1, 3, 4, 4\)", {"image_shape": (1, 2, 6, 6)}),
    (ShapeError, "3 channels", {"image_shape": (1, 3, 5, 5)}),
    (ShapeError, "w must be", {"w": W[0, 0]}),
    (ShapeError, "groups=2", {"groups": 2}),
    (ArgumentError, "image_shape", {"image_shape": 25}),
    (GeometryError, "image_shape", {"image_shape": (1, 2, -5, 5)}),
    (LayoutError, "axes", {"image_shape": (5,)}),
    (LayoutError, "layout 'HWC'", {"layout": "HWC"}),
    # The window.
    (GeometryError, "axis H", {"image_shape": (1, 2, 2, 5)}),
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
    (OutputError, r"out has shape \(1, 2, 5, 4\)", {"out": np.full((1, 2, 5, 4), 7.0)}),
    (OutputError, "out has dtype float32", {"out": np.full(SHAPE, 7, np.float32)}),
    (OutputError, "out is a list", {"out": [7.0]}),
    (OutputError, "out is read-only", {"out": np.broadcast_to(7.0, SHAPE)}),
]


@pytest.mark.parametrize(("error", "match", "wrong"), WRONG)
def test_wrong_arguments(error: type[Exception], match: str, wrong: dict[str, Any]) -> None:
    """Each is refused by name, and `out` stays as it was."""
    good = {"grad": GRAD, "w": W, "image_shape": SHAPE, "out": np.empty(SHAPE)}
    check_refused(conv_input_gradient, good, error, match, wrong)


def test_out_may_not_share_memory() -> None:
    """Neither with an operand nor with itself."""
    grad, w, memory = np.ones((1, 3, 4)), np.ones((3, 2, 3)), np.ones(40)
    message = r"\Aconv_input_gradient: out shares memory with an input"
    with pytest.raises(OutputError, match=message):
        conv_input_gradient(memory[:12].reshape(1, 3, 4), w, (1, 2, 6), out=memory[11:23].reshape(1, 2, 6))
    with pytest.raises(OutputError, match=message):
        conv_input_gradient(grad, memory[:18].reshape(3, 2, 3), (1, 2, 6), out=memory[17:29].reshape(1, 2, 6))
    out = np.lib.stride_tricks.as_strided(np.empty(12), (1, 2, 6), (8, 8, 8))
    with pytest.raises(OutputError, match=r"\Aconv_input_gradient: out has elements that share memory"):
        conv_input_gradient(grad, w, (1, 2, 6), out=out)


def test_results_beyond_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is allocated."""
    monkeypatch.setattr(host, "available_memory", lambda: 1 << 20)
    with pytest.raises(MemoryBudgetError, match=r"\Aconv_input_gradient: .* 1\.0 MiB are available"):
        conv_input_gradient(np.broadcast_to(np.float32(1), (2047, 4095)), np.ones((1, 1, 2, 2), "f4"), (2048, 4096))


@pytest.mark.parametrize("keyword", ["strides", "bias", "activation", "padding_value"])
def test_unknown_keywords(keyword: str) -> None:
    """A keyword that it does not have is a TypeError in its name."""
    arguments: dict[str, Any] = {keyword: 2}
    message = rf"\Aconv_input_gradient\(\) got an unexpected keyword argument '{keyword}'"
    with pytest.raises(TypeError, match=message):
        conv_input_gradient(GRAD, W, SHAPE, **arguments)
