"""Tensors of torch: results, gradients and errors beside torch's own, and what its compilers make of the operators."""

from __future__ import annotations

import doctest
import itertools
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import im2col
from im2col.errors import ArgumentError, DTypeError, GeometryError, ShapeError

from .kit.outcomes import raises_exactly, require
from .kit.processes import HANG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZES = {1: (9,), 2: (7, 8), 3: (4, 5, 6)}
AXES = [pytest.param(1, marks=pytest.mark.wide), 2, pytest.param(3, marks=pytest.mark.wide)]


@pytest.fixture(scope="module")
def lib() -> Iterator[Any]:
    """Return torch, with one thread: several wait for each other in layers as small as these."""
    require("ml_dtypes")
    library = require("torch")
    threads = library.get_num_threads()
    library.set_num_threads(1)
    yield library
    library.set_num_threads(threads)


@pytest.fixture(scope="module")
def ours(lib: Any) -> Any:
    """Return the integration."""
    from im2col.integrations import torch as integration

    assert lib
    return integration


def integers(lib: Any, shape: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> Any:
    """Return small integers, of which sums are exact."""
    values = np.random.default_rng(seed).integers(-4, 5, shape)
    return lib.from_numpy(values).to(getattr(lib, dtype))


def agree(lib: Any, ours: Any, theirs: Any) -> None:
    """Assert that two tensors are equal: shapes, dtypes and numbers."""
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    assert lib.equal(ours, theirs)


@pytest.mark.parametrize("k", AXES)
@pytest.mark.parametrize("batch", [True, False])
def test_convolutions_are_torchs(lib: Any, ours: Any, k: int, batch: bool) -> None:
    """Exactly, over small integers, for every argument that torch takes, with gradients of all operands."""
    options: tuple[dict[str, Any], ...] = (
        {},
        {"stride": 2, "padding": 1, "groups": 2},
        {"padding": "same", "dilation": 2},
        {"padding": (1,) * k, "stride": [2] + [1] * (k - 1), "dilation": 1},
        {"padding": (2, 0, 1)[:k]},
        {"padding": "valid", "groups": 4},
    )
    for window in options:
        x = integers(lib, (2, 4, *SIZES[k])[not batch :]).requires_grad_()
        w = integers(lib, (8, 4 // window.get("groups", 1), *(3, 2, 1)[:k]), seed=1).requires_grad_()
        bias = integers(lib, (8,), seed=2).requires_grad_()
        results = []
        for module in (ours, lib.nn.functional):
            y = getattr(module, f"conv{k}d")(x, w, bias, **window)
            results.append([y, *lib.autograd.grad(y.square().sum(), [x, w, bias])])
        for mine, theirs in zip(*results, strict=True):
            agree(lib, mine, theirs)


@pytest.mark.parametrize("k", AXES)
def test_transposes_are_torchs(lib: Any, ours: Any, k: int) -> None:
    """Exactly, with gradients; an output padding of the stride or more, too."""
    options: tuple[dict[str, Any], ...] = (
        {},
        {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2},
        {"stride": 1, "dilation": 3, "output_padding": 2, "padding": 2},
        {"stride": 2, "dilation": 4, "output_padding": 3},
    )
    for window in options:
        x = integers(lib, (2, 4, *SIZES[k])).requires_grad_()
        w = integers(lib, (4, 3, *(3, 2, 2)[:k]), seed=1).requires_grad_()
        bias = integers(lib, (3 * window.get("groups", 1),), seed=2).requires_grad_()
        results = []
        for module in (ours, lib.nn.functional):
            y = getattr(module, f"conv_transpose{k}d")(x, w, bias, **window)
            results.append([y, *lib.autograd.grad(y.square().sum(), [x, w, bias])])
        for mine, theirs in zip(*results, strict=True):
            agree(lib, mine, theirs)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes_are_those_of_torchs_modules(lib: Any, ours: Any, mode: str) -> None:
    """Forward and both gradients, for even padding and for padding by name."""
    for padding in (2, "same"):
        theirs = lib.nn.Conv2d(2, 3, (3, 2), padding=padding, padding_mode=mode, dtype=lib.float64)
        mine = ours.Conv2d(2, 3, (3, 2), padding=padding, padding_mode=mode, dtype=lib.float64)
        with lib.no_grad():
            theirs.weight.copy_(integers(lib, theirs.weight.shape, seed=1))
            theirs.bias.copy_(integers(lib, theirs.bias.shape, seed=2))
        mine.load_state_dict(theirs.state_dict())
        results = []
        for module in (mine, theirs):
            x = integers(lib, (2, 2, 7, 8)).requires_grad_()
            y = module(x)
            results.append([y, *lib.autograd.grad(y.square().sum(), [x, module.weight, module.bias])])
        for one, other in zip(*results, strict=True):
            agree(lib, one, other)


def test_words_are_words_whatever_their_class(lib: Any, ours: Any) -> None:
    """Padding that an enumeration names is the padding of that name."""

    class Named(StrEnum):
        SAME = "same"

    x, w = lib.ones(1, 2, 5, 5), lib.ones(3, 2, 3, 3)
    assert lib.equal(ours.conv2d(x, w, padding=Named.SAME), lib.nn.functional.conv2d(x, w, padding="same"))


def test_unfold_and_fold_are_torchs(lib: Any, ours: Any) -> None:
    """Exactly, with gradients."""
    window: dict[str, Any] = {"kernel_size": (3, 2), "dilation": (1, 2), "padding": (1, 2), "stride": 2}
    x = integers(lib, (2, 3, 7, 8)).requires_grad_()
    results = []
    for module in (ours, lib.nn.functional):
        columns = module.unfold(x, **window)
        image = module.fold(columns.square(), output_size=(7, 8), **window)
        results.append([columns, image, *lib.autograd.grad(image.square().sum(), [x])])
    for mine, theirs in zip(*results, strict=True):
        agree(lib, mine, theirs)


def test_unfold_takes_any_axes_and_integers(lib: Any, ours: Any) -> None:
    """Beside the library's own matrix, and sums of patches beside the count of windows."""
    for dtype, sizes in (("int32", (9,)), ("uint8", (4, 5, 6)), ("int64", (3, 4, 3, 4)), ("bool", (5, 5))):
        x = integers(lib, (2, 3, *sizes), dtype)
        kernel = (2,) * len(sizes)
        columns = ours.unfold(x, kernel)
        expected = im2col.im2col(x.numpy(), kernel, orientation="columns")
        assert columns.dtype == x.dtype
        np.testing.assert_array_equal(columns.numpy(), expected)
        image = ours.fold(columns, sizes, kernel)
        count = im2col.overlap_count(sizes, kernel)
        np.testing.assert_array_equal(image.numpy(), x.numpy().astype(np.int64) * count)
        assert ours.fold(columns[0], sizes, kernel).shape == (3, *sizes)


@pytest.mark.parametrize("k", AXES)
def test_pools_are_torchs(lib: Any, ours: Any, k: int) -> None:
    """Exactly, with indices and gradients: every argument, ties among the pixels."""
    for stride, padding, ceil_mode in itertools.product((None, 2, 3), (0, 1), (False, True)):
        common = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode}
        for name, more in (
            ("max_pool", {"return_indices": True}),
            ("max_pool", {"dilation": 2}),
            ("avg_pool", {"count_include_pad": True}),
            ("avg_pool", {"count_include_pad": False}),
        ):
            results = []
            for module in (ours, lib.nn.functional):
                x = integers(lib, (2, 3, *SIZES[k])).requires_grad_()
                y = getattr(module, f"{name}{k}d")(x, 2, **common, **more)
                values = y if isinstance(y, tuple) else (y,)
                results.append([*values, *lib.autograd.grad(values[0].square().sum(), [x])])
            for mine, theirs in zip(*results, strict=True):
                assert mine.dtype == theirs.dtype
                lib.testing.assert_close(mine, theirs, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64", "complex128"])
def test_dtypes(lib: Any, ours: Any, dtype: str) -> None:
    """Sums of small integers are exact in each; gradients have the operands' dtype."""
    x, w = (integers(lib, shape, dtype, seed) for seed, shape in enumerate([(1, 2, 5, 5), (3, 2, 2, 2)]))
    if dtype.startswith("complex"):
        x, w = x + 1j * integers(lib, x.shape, dtype, 2), w - 1j * integers(lib, w.shape, dtype, 3)
    results = []
    for module, cast in ((ours, x.dtype), (lib.nn.functional, lib.complex128 if x.is_complex() else lib.float64)):
        a, b = x.to(cast).requires_grad_(), w.to(cast).requires_grad_()
        y = module.conv2d(a, b, padding=1)
        z = module.conv_transpose2d(y, b.to(cast), padding=1) if module is ours else None
        assert z is None or z.dtype == cast
        results.append([y, *lib.autograd.grad(y.real.sum() if x.is_complex() else y.sum(), [a, b])])
    for mine, theirs in zip(*results, strict=True):
        assert mine.dtype == x.dtype
        agree(lib, mine.to(theirs.dtype), theirs)
    if not x.is_complex():
        agree(lib, ours.max_pool2d(x, 2), lib.nn.functional.max_pool2d(x, 2))
        agree(lib, ours.avg_pool2d(x, 2), lib.nn.functional.avg_pool2d(x, 2))


def test_integers_give_what_the_library_gives(lib: Any, ours: Any) -> None:
    """Small ones grow to int32, and operands of two dtypes go together."""
    x, w = integers(lib, (1, 2, 5, 5), "int8"), integers(lib, (3, 2, 2, 2), "int8", 1)
    y = ours.conv2d(x, w)
    assert y.dtype == lib.int32
    np.testing.assert_array_equal(y.numpy(), im2col.conv2d(x.numpy(), w.numpy()))
    assert ours.conv2d(x.float(), w.double()).dtype == lib.float64
    assert ours.avg_pool2d(x, 2).dtype == lib.float64


def recorded(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[Any]:
    """Let calls of a function leave the arrays that they were given, and the one that they return, in a list."""
    seen: list[Any] = []
    function = getattr(module, name)

    def record(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        given = next((a for a in args if isinstance(a, tuple) and isinstance(a[0], np.ndarray)), args)
        read = [a.ctypes.data for a in given if isinstance(a, np.ndarray)]
        seen.append((read, result.ctypes.data, result.shape))
        return result

    monkeypatch.setattr(module, name, record)
    return seen


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_tensor_is_copied(lib: Any, ours: Any, monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    """The library reads where the tensors lie, and the result lies where the library wrote: all by their addresses."""
    from im2col.integrations.torch import columns, pools

    seen = recorded(monkeypatch, pools, "run_again")
    x = integers(lib, (1, 2, 6, 7), dtype)
    for _ in range(4):  # what comes again is one call of the engine
        y = ours.max_pool2d(x, 2)
        assert seen.pop()[:2] == ([x.data_ptr()], y.data_ptr())
    seen = recorded(monkeypatch, columns, "im2col")
    y = ours.unfold(x, 2)
    assert seen.pop()[:2] == ([x.data_ptr()], y.data_ptr())
    seen = recorded(monkeypatch, sys.modules["im2col.integrations.torch.convolutions"], "run_again")
    w, square = integers(lib, (2, 3, 2, 2), dtype), integers(lib, (3, 2, 2, 2), dtype)
    bias = integers(lib, (3,), dtype)
    for _ in range(4):
        for function, weight in ((ours.conv_transpose2d, w), (ours.conv2d, square)):
            y = function(x, weight, bias)
            assert seen.pop()[:2] == ([x.data_ptr(), weight.data_ptr(), bias.data_ptr()], y.data_ptr())


def test_channels_last_stays(lib: Any, ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tensor with its channels innermost is read as such, and gives such a result: forward and backward."""
    from im2col.integrations.torch import pools

    for k, form in ((2, lib.channels_last), (3, lib.channels_last_3d)):
        x = integers(lib, (2, 3, *SIZES[k])).to(memory_format=form)
        w, transposed = integers(lib, (4, 3, *(2,) * k), seed=1), integers(lib, (3, 4, *(2,) * k), seed=1)
        for name, more in (("conv", (w,)), ("conv_transpose", (transposed,)), ("max_pool", (2,)), ("avg_pool", (2,))):
            results = []
            for image in (x, x.contiguous()):
                leaf = image.detach().requires_grad_()
                y = getattr(ours, f"{name}{k}d")(leaf, *more)
                (gradient,) = lib.autograd.grad(y.square().sum(), [leaf])
                results.append((y, gradient))
            (y, gradient), expected = results
            assert y.is_contiguous(memory_format=form)
            assert not y.is_contiguous()
            agree(lib, y, expected[0])
            agree(lib, gradient, expected[1])
    seen = recorded(monkeypatch, pools, "run_again")
    x = integers(lib, (2, 3, 6, 8)).to(memory_format=lib.channels_last)
    y = ours.avg_pool2d(x, 2)
    assert seen == [([x.data_ptr()], y.data_ptr(), (2, 3, 4, 3))]


@pytest.mark.parametrize("k", [2, 3])
def test_formats_of_memory_change_no_result(lib: Any, ours: Any, k: int) -> None:
    """One volume has as many axes as a batch of images, for which torch's formats are: in any, any call is torch's."""
    functional = lib.nn.functional
    w, transposed = integers(lib, (4, 2, *(2,) * k), seed=1), integers(lib, (2, 4, *(2,) * k), seed=1)
    calls: dict[str, Callable[[Any, Any], Any]] = {
        "conv": lambda m, x: getattr(m, f"conv{k}d")(x, w, stride=2),
        "conv_transpose": lambda m, x: getattr(m, f"conv_transpose{k}d")(x, transposed),
        "max_pool": lambda m, x: getattr(m, f"max_pool{k}d")(x, 2),
        "avg_pool": lambda m, x: getattr(m, f"avg_pool{k}d")(x, 2),
    }
    for batched, (name, call) in itertools.product((True, False), calls.items()):
        x = integers(lib, (2, 2, *SIZES[k])[not batched :])
        axes = tuple(range(x.ndim))
        expected = call(functional, x)
        grad = integers(lib, expected.shape, seed=3)
        for order in ((*axes[:1], *axes[2:], 1), axes[::-1]):  # the former is torch's, of so many axes
            inverse = np.argsort(order).tolist()
            leaf = x.permute(order).contiguous().permute(inverse).requires_grad_()
            y = call(ours, leaf)
            assert lib.equal(y, expected), (name, order)
            # Its gradient may have any order, too.
            (mine,) = lib.autograd.grad(y, [leaf], grad.permute(order).contiguous().permute(inverse))
            twin = x.clone().requires_grad_()
            (theirs,) = lib.autograd.grad(call(functional, twin), [twin], grad)
            assert lib.equal(mine, theirs), (name, order)
    volume = integers(lib, (2, 3, 4, 5)).to(memory_format=lib.channels_last)
    assert lib.equal(ours.unfold(volume, (2, 2, 2)), ours.unfold(volume.contiguous(), (2, 2, 2)))


@pytest.mark.parametrize("last", [False, True])
def test_large_depthwise_images_that_come_again(lib: Any, ours: Any, last: bool) -> None:
    """Layers whose way depends on the weights' values: each of two kernels, in any format of memory, is torch's."""
    form = lib.channels_last if last else lib.contiguous_format
    kernels = integers(lib, (2, 1, 3, 3), seed=1), lib.ones(2, 1, 3, 3).double()
    for seed in range(4):
        x = integers(lib, (1, 2, 970, 980), seed=seed).to(memory_format=form)
        for w in kernels:
            agree(lib, ours.conv2d(x, w, groups=2), lib.nn.functional.conv2d(x, w, groups=2))


def test_calls_that_come_again_give_what_the_first_gives(lib: Any, ours: Any) -> None:
    """What is remembered of a kind holds for other numbers, in other memory formats, with and without gradients."""
    functional = lib.nn.functional
    calls: dict[str, Callable[[Any, Any, Any], Any]] = {
        "conv2d": lambda m, x, w: m.conv2d(x, w, w[:, 0, 0, 0], padding=1, stride=(1, 2)),
        "no bias": lambda m, x, w: m.conv2d(x, w, padding=(1, 1)),
        "conv_transpose2d": lambda m, x, w: m.conv_transpose2d(x, w.transpose(0, 1), stride=2),
        "max_pool2d": lambda m, x, _: m.max_pool2d(x, 2),
        "indices": lambda m, x, _: m.max_pool2d(x, 2, return_indices=True)[1].double(),
        "avg_pool2d": lambda m, x, _: m.avg_pool2d(x, 2, padding=1, count_include_pad=False),
        "unfold": lambda m, x, _: m.unfold(x, 2, dilation=2),
    }
    form = {"memory_format": lib.channels_last}
    for name, call in calls.items():
        for seed in range(8):
            x, w = integers(lib, (2, 3, 6, 7), seed=seed), integers(lib, (4, 3, 3, 2), seed=seed + 100)
            x = x.to(**form) if seed % 2 else x
            agree(lib, call(ours, x, w), call(functional, x, w))
            if name != "indices":
                gradients = []
                for module in (ours, functional):
                    leaves = x.detach().requires_grad_(), w.detach().requires_grad_()
                    y = call(module, *leaves).square().sum()
                    gradients.append(lib.autograd.grad(y, leaves, allow_unused=True))
                for mine, theirs in zip(*gradients, strict=True):
                    assert mine is theirs is None or lib.equal(mine, theirs)


def test_numbers_of_any_dtype_come_again(lib: Any, ours: Any) -> None:
    """A kind tells dtypes apart, those that only ml_dtypes has as well; small integers are exact in each."""
    functional = lib.nn.functional
    for seed in range(5):
        for dtype in ("float32", "bfloat16", "float64", "float16", "int16", "complex64"):
            x, w = integers(lib, (1, 4, 6, 6), dtype, seed), integers(lib, (2, 4, 2, 2), dtype, seed + 9)
            wide = [each.to(lib.complex128 if each.is_complex() else lib.float64) for each in (x, w)]
            assert lib.equal(ours.conv2d(x, w).to(wide[0].dtype), functional.conv2d(*wide))
            if not x.is_complex():
                assert lib.equal(ours.max_pool2d(x, 2).double(), functional.max_pool2d(wide[0], 2))
            if dtype != "int16":
                assert lib.equal(ours.avg_pool2d(4 * x, 2).to(wide[0].dtype), _means(lib, 4 * wide[0]))


def _means(lib: Any, x: Any) -> Any:
    """Return the means of 2×2 windows, which torch has none of for complex numbers."""
    return lib.stack([x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]).sum(0) / 4


def test_bytes_that_come_again_are_read_by_their_values(lib: Any, ours: Any) -> None:
    """Which instruction multiplies them depends on the weights, which change."""
    for seed in range(6):
        x = lib.from_numpy(np.random.default_rng(seed).integers(-128, 128, (1, 8, 6, 6)).astype(np.int8))
        w = np.random.default_rng(seed + 9).integers(-128, 128, (8, 8, 3, 3)).astype(np.int8)
        weight = lib.from_numpy(w >> 2 if seed % 3 == 2 else w)
        expected = lib.nn.functional.conv2d(x.double(), weight.double())
        agree(lib, ours.conv2d(x, weight), expected.int())


def test_memory_changes_no_error(lib: Any, ours: Any) -> None:
    """What equals a valid argument, but is none, is refused whether the valid one was met or not."""
    x, w, columns = lib.ones(1, 2, 5, 5), lib.ones(2, 2, 2, 2), lib.ones(4, 16)
    calls: tuple[Callable[[Any], Any], ...] = (
        lambda stride: ours.conv2d(x, w, stride=stride),
        lambda stride: ours.conv_transpose2d(x, w, stride=stride),
        lambda stride: ours.max_pool2d(x, 2, stride=stride),
        lambda stride: ours.avg_pool2d(x, 2, stride=stride),
        lambda stride: ours.unfold(x, 2, stride=stride),
        lambda stride: ours.fold(columns, (5, 5), 2, stride=stride),
    )
    for call in calls * 4:
        for valid in (1, (1, 1), [1, 1]):
            call(valid)
        call((np.int64(1), np.int32(1)))
        call(np.int64(1))
        bits = np.int64(1).tobytes()  # as which marshal writes that
        for wrong in (1.0, True, (1.0, 1), [True, 1], lib.ones(()), np.ones(2, int), b"\1", bits, 1e30):
            with pytest.raises(ArgumentError, match=r"^\w+: stride must be an integer of at least 1"):
                call(wrong)


def test_modes_that_change_no_number_are_the_plain_way(lib: Any, ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inference, no gradients, weights that are parameters: the dispatcher is not asked; tracing asks it."""
    from torch.utils._python_dispatch import BaseTorchDispatchMode

    from im2col.integrations.torch.convolutions import CONV

    x, layer = integers(lib, (1, 2, 5, 5)), ours.Conv2d(2, 3, 2, dtype=lib.float64)
    expected = layer(x)
    asked: list[int] = []
    overload = CONV.overload

    def ask(*arguments: Any) -> Any:
        asked.append(1)
        return overload(*arguments)

    monkeypatch.setattr(CONV, "overload", ask)
    for mode in (lib.inference_mode, lib.no_grad, lib.enable_grad):
        with mode():
            agree(lib, layer(x), expected)
    with lib.inference_mode():
        assert layer(x).is_inference()
    assert not asked
    with BaseTorchDispatchMode():  # which hands on what it meets
        agree(lib, layer(x), expected)
    assert asked


def test_views_and_conjugates_are_read_as_they_are(lib: Any, ours: Any) -> None:
    """Strides, stride 0, and what is conjugated or negated when it is read."""
    x = integers(lib, (4, 2, 9, 9))[::2, :, 1:, ::2]
    w = integers(lib, (3, 1, 2, 2), seed=1).expand(3, 2, 2, 2)
    agree(lib, ours.conv2d(x, w), lib.nn.functional.conv2d(x.contiguous(), w.contiguous()))
    z = lib.complex(integers(lib, (1, 2, 5, 5)), integers(lib, (1, 2, 5, 5), seed=3))
    w = integers(lib, (3, 2, 2, 2), seed=1)
    agree(lib, ours.conv2d(z.conj(), w), ours.conv2d(z.conj().resolve_conj(), w))
    agree(lib, ours.conv2d(z.conj().imag, w), -ours.conv2d(z.imag, w))


def operators(lib: Any) -> dict[str, Callable[[], tuple[Any, ...]]]:
    """Return arguments of each operator, floats of double precision that need gradients."""

    def leaf(*shape: int, seed: int = 0) -> Any:
        generator = lib.Generator().manual_seed(seed)
        return lib.randn(shape, dtype=lib.float64, generator=generator).requires_grad_()

    window = (2, 1), (1, 0, 0, 1), (1, 2), 2, "zeros"
    x, g, w = (1, 4, 5, 5), (1, 2, 3, 4), (2, 2, 2, 2)
    distinct = lib.randperm(72, generator=lib.Generator().manual_seed(1)).double().view(1, 2, 6, 6) / 8
    indices = lib.nn.functional.max_pool2d(distinct, 2, return_indices=True)[1]
    pool, columns = ((2, 2), (2, 2), (0, 1)), ((2, 2), (1, 2), (0, 1, 1, 0), (1, 1))
    return {
        "conv": lambda: (leaf(*x), leaf(*w, seed=1), leaf(2, seed=2), *window),
        "conv_input_gradient": lambda: (leaf(*g), leaf(*w, seed=1), x, *window),
        "conv_weight_gradient": lambda: (leaf(*x), leaf(*g, seed=1), (2, 2), *window),
        "conv_bias_gradient": lambda: (leaf(2, 3, 4), 2),
        "conv_transpose": lambda: (
            *(leaf(1, 2, 3, 3), leaf(*w, seed=1), leaf(4, seed=2)),
            *((2, 1), (1, 0), (1, 1), (1, 2), 2),
        ),
        "unfold": lambda: (leaf(1, 2, 4, 4), *columns),
        "fold": lambda: (leaf(1, 8, 8), (1, 2, 4, 4), *columns),
        "max_pool": lambda: (distinct.clone().requires_grad_(), (2, 2), (2, 1), (0, 1), (1, 1), True),
        "max_pool_indices": lambda: (distinct.clone().requires_grad_(), (2, 2), (2, 1), (0, 1), (1, 1), True),
        "max_pool_input_gradient": lambda: (leaf(1, 2, 3, 3), indices, (1, 2, 6, 6), 2),
        "average_pool": lambda: (leaf(1, 2, 5, 5), *pool, True, False),
        "average_pool_input_gradient": lambda: (leaf(1, 2, 3, 3), (1, 2, 5, 5), *pool, True, False),
    }


NAMES = (
    *("average_pool", "average_pool_input_gradient", "conv", "conv_bias_gradient", "conv_input_gradient"),
    *("conv_transpose", "conv_weight_gradient", "fold", "max_pool", "max_pool_indices", "max_pool_input_gradient"),
    "unfold",
)
JUDGED = [name if name in {"conv", "max_pool"} else pytest.param(name, marks=pytest.mark.wide) for name in NAMES]


def test_every_operator_is_judged(lib: Any, ours: Any) -> None:
    """The names above are those that are registered."""
    assert ours
    registered = {n.split("::")[1].partition(".")[0] for n in lib._C._dispatch_get_all_op_names() if "im2col::" in n}
    assert tuple(sorted(operators(lib))) == NAMES
    assert registered == set(NAMES)


@pytest.mark.parametrize("name", JUDGED)
def test_operators_pass_torchs_own_check(lib: Any, ours: Any, name: str) -> None:
    """Schema, autograd, shapes without numbers, and both with sizes that are symbols, as `opcheck` finds them."""
    assert ours
    operator = getattr(lib.ops.im2col, name).default
    lib.library.opcheck(operator, operators(lib)[name]())


@pytest.mark.parametrize("name", [each for each in JUDGED if "max_pool_indices" not in str(each)])
def test_gradients_have_gradients(lib: Any, ours: Any, name: str) -> None:
    """Both by finite differences, by way of the dispatcher and around it."""
    module = {"conv": "convolutions", "fold": "columns", "unfo": "columns"}.get(name[:4], "pools")
    constant = {"conv_input_gradient": "INPUT_GRADIENT", "conv_weight_gradient": "WEIGHT_GRADIENT"}
    constant |= {"conv_bias_gradient": "BIAS_GRADIENT", "conv_transpose": "TRANSPOSE"}
    constant |= {f"{pool}_input_gradient": f"{pool}_GRADIENT".upper() for pool in ("max_pool", "average_pool")}
    assert ours
    around = getattr(sys.modules[f"im2col.integrations.torch.{module}"], constant.get(name, name.upper()))
    for operator in (around, getattr(lib.ops.im2col, name).default):
        arguments = operators(lib)[name]()
        tensors = tuple(a for a in arguments if getattr(a, "requires_grad", False))
        count = sum(isinstance(a, lib.Tensor) for a in arguments)
        window = arguments[count:]
        rest = *arguments[len(tensors) : count], *((window,) if operator is around else window)

        def run(*given: Any, operator: Any = operator, rest: tuple[Any, ...] = rest) -> Any:
            return operator(*given, *rest)

        assert lib.autograd.gradcheck(run, tensors)
        assert lib.autograd.gradgradcheck(run, tensors)


@pytest.mark.wide
def test_complex_gradients_have_gradients(lib: Any, ours: Any) -> None:
    """The adjoints conjugate, which finite differences see."""
    x, w, t = (
        lib.randn(shape, dtype=lib.complex128, generator=lib.Generator().manual_seed(1)).requires_grad_()
        for shape in ((1, 2, 4, 3), (2, 2, 2, 2), (1, 2, 2, 2))
    )
    for function, operands in ((ours.conv2d, (x, w)), (ours.conv_transpose2d, (t, w)), (ours.avg_pool2d, (x, 2))):
        tensors = tuple(a for a in operands if isinstance(a, lib.Tensor))
        rest = operands[len(tensors) :]

        def run(*given: Any, function: Any = function, rest: tuple[Any, ...] = rest) -> Any:
            return function(*given, *rest)

        assert lib.autograd.gradcheck(run, tensors)
        assert lib.autograd.gradgradcheck(run, tensors)


def network(ours: Any, x: Any, w: Any, v: Any) -> Any:
    """Run every public function of two axes."""
    y = ours.conv2d(x, w, padding="same", groups=1)
    y = ours.max_pool2d(y, 2, ceil_mode=True) + ours.avg_pool2d(y, 2, ceil_mode=True)
    y = ours.conv_transpose2d(y, v, stride=2)
    size = y.shape[2:]
    return ours.fold(ours.unfold(y, 3, padding=1), size, 3, padding=1)


@pytest.mark.wide
@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d"])
def test_real_operands_of_complex_results_have_real_gradients(lib: Any, ours: Any, name: str) -> None:
    """Beside finite differences, and gradients of gradients too, whichever of the operands is real."""
    shapes = (1, 2, 4, 3), (2, 2, 2, 2), (2,)
    for real in ((0,), (1,), (2,), (0, 2), (1, 2)):
        operands = []
        for i, shape in enumerate(shapes):
            parts = integers(lib, (*shape, 2), seed=i)
            operands.append(parts[..., 0].clone() if i in real else lib.view_as_complex(parts))
        leaves = [each.requires_grad_() for each in operands]

        def call(*tensors: Any) -> Any:
            return getattr(ours, name)(*tensors, padding=1, stride=2)

        assert lib.autograd.gradcheck(call, leaves)
        assert lib.autograd.gradgradcheck(call, leaves)


def test_compiles_in_one_graph(lib: Any, ours: Any) -> None:
    """``torch.compile(fullgraph=True)``, with sizes that change, gives the numbers and gradients of eager calls."""

    def run(x: Any, w: Any, v: Any) -> Any:
        return network(ours, x, w, v)

    lib._dynamo.reset()
    compiled = lib.compile(run, fullgraph=True, backend="aot_eager", dynamic=True)
    for size in (7, 9):
        results = []
        for function in (run, compiled):
            shapes = (2, 3, size, size + 1), (4, 3, 3, 3), (4, 2, 2, 2)
            tensors = [integers(lib, shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]
            y = function(*tensors)
            results.append([y, *lib.autograd.grad(y.square().sum(), tensors)])
        for one, other in zip(*results, strict=True):
            agree(lib, one, other)


def test_exports(lib: Any, ours: Any) -> None:
    """``torch.export``, with a batch of any size, keeps the operators, and gives the same numbers."""

    class Model(lib.nn.Module):  # type: ignore[misc]  # torch has no types here
        def __init__(self) -> None:
            super().__init__()
            self.first = ours.Conv2d(3, 4, 3, padding=1, dtype=lib.float64)
            self.second = ours.ConvTranspose2d(4, 2, 2, stride=2, dtype=lib.float64)

        def forward(self, x: Any) -> Any:
            return self.second(ours.max_pool2d(self.first(x), 2))

    model, x = Model(), integers(lib, (2, 3, 6, 6))
    batch = lib.export.Dim("batch", min=1, max=64)
    with lib.no_grad():
        program = lib.export.export(model, (x,), dynamic_shapes={"x": {0: batch}})
    called = {str(node.target) for node in program.graph.nodes if "im2col" in str(node.target)}
    assert called == {"im2col.conv.default", "im2col.max_pool.default", "im2col.conv_transpose.default"}
    other = integers(lib, (5, 3, 6, 6), seed=4)
    agree(lib, program.module()(other), model(other))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_transforms_are_not_passed_by(lib: Any, ours: Any) -> None:
    """What torch cannot do with operators of Python is an error: no tangent is lost silently."""
    x, w = integers(lib, (1, 2, 5, 5)), integers(lib, (3, 2, 2, 2), seed=1)
    rule = "input has a tangent, but there are gradients in reverse mode alone; use torch's own function"
    calls: dict[str, tuple[Any, ...]] = {
        "conv2d": (w,),
        "conv_transpose2d": (w[:2],),
        "max_pool2d": (2,),
        "unfold": (2,),
    }
    with lib.autograd.forward_ad.dual_level():
        for name, arguments in calls.items():
            with raises_exactly(ArgumentError, f"{name}: {rule}"):
                getattr(ours, name)(lib.autograd.forward_ad.make_dual(x, x), *arguments)
    with pytest.raises(RuntimeError, match="functorch"):
        lib.func.grad(lambda a: ours.conv2d(a, w).sum())(x)


def test_without_memory_there_are_shapes(lib: Any, ours: Any) -> None:
    """Tensors on the device ``meta`` give such."""
    x, w = lib.empty(2, 3, 8, 8, device="meta"), lib.empty(4, 3, 3, 3, device="meta")
    y = ours.conv2d(x, w, stride=2)
    assert (y.device.type, y.shape) == ("meta", (2, 4, 3, 3))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_shapes_without_memory_are_torchs(lib: Any, ours: Any) -> None:
    """Of every function: what the compilers ask for is what torch's own functions give."""

    def check(name: str, operands: tuple[Any, ...], *more: Any, **window: Any) -> None:
        expected = getattr(lib.nn.functional, name)(*operands, *more, **window)
        fake = getattr(ours, name)(*(each.to("meta") for each in operands), *more, **window)
        assert fake.device.type == "meta"
        assert (fake.shape, fake.dtype) == (expected.shape, expected.dtype), (name, window)

    for k, sizes in SIZES.items():
        x, w = lib.ones(2, 4, *sizes), lib.ones(6, 2, *(3, 2, 2)[:k])
        for window in ({}, {"padding": "same"}, {"padding": 2, "stride": 3}, {"padding": 1, "dilation": 2}):
            check(f"conv{k}d", (x, w), **window, groups=2)
        for window in ({}, {"padding": 1, "stride": 2}, {"dilation": 3, "stride": 3, "output_padding": 2}):
            check(f"conv_transpose{k}d", (lib.ones(2, 6, *sizes), w), **window, groups=3)
        for stride, padding, ceil_mode in itertools.product((1, 2, 3, 4), (0, 1), (False, True)):
            window = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode}
            check(f"avg_pool{k}d", (x,), 3, **window)
            for dilation in (1, 1 + (k < 3)):
                check(f"max_pool{k}d", (x,), 2, dilation=dilation, **window)
    x, columns = lib.ones(2, 4, 7, 8), {"kernel_size": (3, 2), "dilation": (1, 2), "padding": (1, 2), "stride": 2}
    check("unfold", (x,), **columns)
    check("fold", (lib.nn.functional.unfold(x, **columns),), output_size=(7, 8), **columns)


def test_what_does_not_fit_without_memory_is_refused(lib: Any, ours: Any) -> None:
    """As it is with memory: other channels, and windows that do not fit."""
    calls: tuple[tuple[str, tuple[tuple[int, ...], ...], tuple[Any, ...], str], ...] = (
        ("conv2d", ((2, 3, 8, 8), (4, 5, 3, 3)), (), "the image has 3 channels but the weights take 5"),
        (
            "conv2d",
            ((2, 3, 8, 8), (4, 3, 9, 3)),
            (),
            r"no window of a kernel \(9, 3\) fits an image of \(8, 8\) pixels",
        ),
        ("conv1d", ((3, 1), (4, 3, 3)), (), r"no window of a kernel \(3,\) fits an image of \(1,\) pixels"),
        ("conv_transpose2d", ((2, 3, 8, 8), (4, 5, 3, 3)), (), "the image has 3 channels but the weights take 4"),
        ("max_pool2d", ((2, 3, 8, 8),), (9,), r"no window of a kernel \(9, 9\) fits"),
        ("avg_pool2d", ((2, 3, 8, 8),), (20,), r"no window of a kernel \(20, 20\) fits"),
        ("unfold", ((2, 3, 8, 8),), (9,), r"no window of a kernel \(9, 9\) fits"),
    )
    for name, shapes, more, message in calls:
        for device in ("meta", "cpu"):
            operands = [lib.empty(shape, device=device) for shape in shapes]
            with pytest.raises(ValueError, match=rf"^{name}: {message}" if device == "meta" else f"^({name}|im2col): "):
                getattr(ours, name)(*operands, *more)


def test_empty_batches(lib: Any, ours: Any) -> None:
    """They give empty results with gradients; an image without pixels is refused."""
    x = lib.empty(0, 2, 5, 5, dtype=lib.float64, requires_grad=True)
    w = integers(lib, (3, 2, 2, 2)).requires_grad_()
    y = ours.max_pool2d(ours.conv2d(x, w), 2)
    assert y.shape == (0, 3, 2, 2)
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert not w.grad.any()
    with pytest.raises(GeometryError, match=r"^conv2d: axis H of the image is empty"):
        ours.conv2d(lib.empty(1, 2, 0, 5), lib.ones(3, 2, 2, 2))


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
def test_errors_name_operation_and_rule(lib: Any, ours: Any) -> None:
    """Ranks, devices, dtypes, layouts and windows that do not fit, and what is no tensor."""
    x, w = lib.ones(1, 2, 5, 5), lib.ones(3, 2, 2, 2)
    with raises_exactly(ShapeError, "conv2d: input must be (C, H, W) or (N, C, H, W), got a tensor of shape (5, 5)"):
        ours.conv2d(x[0, 0], w)
    with raises_exactly(
        ShapeError,
        "conv3d: weight must have 5 axes, two and one for each of the kernel, got a tensor of shape (3, 2, 2, 2)",
    ):
        ours.conv3d(x, w)
    with raises_exactly(DTypeError, "conv2d: weight must be a tensor of torch, got ndarray; arrays go to im2col's own"):
        ours.conv2d(x, w.numpy())
    with raises_exactly(
        ShapeError, "max_pool1d: input must be (C, W) or (N, C, W), got a tensor of shape (1, 2, 5, 5)"
    ):
        ours.max_pool1d(x, 2)
    with raises_exactly(
        ArgumentError, "conv2d: padding='same' needs a stride of 1, got (2, 2); pass the pixels to pad by"
    ):
        ours.conv2d(x, w, stride=2, padding="same")
    with raises_exactly(
        ArgumentError, "unfold: stride must be an integer of at least 1, or 2 of them, one for each axis; got 0"
    ):
        ours.unfold(x, 2, stride=0)
    with raises_exactly(
        ArgumentError, "conv2d: padding_mode must be one of ('zeros', 'reflect', 'replicate', 'circular'), got 'wrap'"
    ):
        ours.conv2d(x, w, padding_mode="wrap")
    with raises_exactly(
        ShapeError,
        "fold: input must be (C·4, positions) or (N, C·4, positions) for kernels (2, 2), got a tensor of shape (6, 9)",
    ):
        ours.fold(lib.ones(6, 9), 4, 2)
    calls: tuple[tuple[Callable[[], Any], str, str], ...] = (
        (lambda: ours.conv2d(None, w), "conv2d", "input"),
        (lambda: ours.conv2d(x, None), "conv2d", "weight"),
        (lambda: ours.conv_transpose2d(x, None), "conv_transpose2d", "weight"),
        (lambda: ours.max_pool2d(None, 2), "max_pool2d", "input"),
        (lambda: ours.unfold(None, 2), "unfold", "input"),
        (lambda: ours.fold(None, 4, 2), "fold", "input"),
    )
    for call, name, operand in calls:
        message = f"{name}: {operand} must be a tensor of torch, got NoneType; arrays go to im2col's own"
        with raises_exactly(DTypeError, message):
            call()
    with raises_exactly(ArgumentError, "max_pool2d: ceil_mode must be True or False, got 'no'"):
        ours.max_pool2d(x, 2, ceil_mode="no")
    with raises_exactly(ArgumentError, "avg_pool2d: count_include_pad must be True or False, got None"):
        ours.avg_pool2d(x, 2, count_include_pad=None)
    with pytest.raises(ArgumentError, match=r"^fold: output_size must be an integer .*got None"):
        ours.fold(lib.ones(4, 9), None, 2)
    with pytest.raises(ArgumentError, match=r"^conv2d: padding_mode must be one of .*got \['zeros'\]"):
        ours.conv2d(x, w, padding_mode=["zeros"])
    with pytest.raises(DTypeError, match=r"^conv2d: a tensor has the layout torch.sparse_coo; pass a dense one"):
        ours.conv2d(x.to_sparse(), w)
    with pytest.raises(DTypeError, match=r"^conv2d: a tensor of type Tensor cannot be used .*ComplexHalf"):
        ours.conv2d(x.to(lib.complex32), w)
    with pytest.raises(GeometryError, match=r"^conv2d: the kernel spans 6 pixels"):
        ours.conv2d(x, lib.ones(3, 2, 6, 6))
    with pytest.raises(ShapeError, match=r"^conv2d: the image \(1, 2, 5, 5\) has 2 channels"):
        ours.conv2d(x, lib.ones(3, 4, 2, 2))


def test_other_devices_are_refused(lib: Any, ours: Any) -> None:
    """A tensor of a GPU, here without its memory, gets an error that says what to do."""
    from torch._subclasses import FakeTensorMode

    with FakeTensorMode():
        x = lib.empty(1, 2, 5, 5, device="cuda")
        w = lib.empty(3, 2, 2, 2, device="cuda")
    rule = "is on the device 'cuda:0', but the kernels run on CPUs; pass input.cpu(), or use torch's own function there"
    calls: dict[str, tuple[Any, ...]] = {"conv2d": (x, w), "max_pool2d": (x, 2), "unfold": (x, 2)}
    for name, arguments in calls.items():
        with raises_exactly(DTypeError, f"{name}: input {rule}"):
            getattr(ours, name)(*arguments)


def test_threads_are_torchs(lib: Any, ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many work as torch's setting says; the bits are those of one."""
    columns: Any = sys.modules["im2col.integrations.torch.columns"]
    seen: list[int] = []
    function = columns.im2col

    def record(*args: Any, threads: int, **options: Any) -> Any:
        seen.append(threads)
        return function(*args, threads=threads, **options)

    monkeypatch.setattr(columns, "im2col", record)
    x = integers(lib, (2, 3, 8, 8))
    one = ours.unfold(x, 2)
    lib.set_num_threads(2)
    two = ours.unfold(x, 2)
    lib.set_num_threads(1)
    assert seen == [1, 2]
    agree(lib, one, two)


@pytest.mark.parametrize("k", AXES)
def test_modules_take_torchs_state(lib: Any, ours: Any, k: int) -> None:
    """They are made as torch's are, load its state, and give its results."""
    for name, more in ((f"Conv{k}d", {"padding": 1}), (f"ConvTranspose{k}d", {"output_padding": 1})):
        arguments: dict[str, Any] = {"kernel_size": 3, "stride": 2, "dtype": lib.float64, **more}
        theirs, mine = (getattr(module, name)(2, 4, **arguments) for module in (lib.nn, ours))
        assert mine.load_state_dict(theirs.state_dict()).missing_keys == []
        assert isinstance(mine, type(theirs))
        x = integers(lib, (2, 2, *SIZES[k]))
        lib.testing.assert_close(mine(x), theirs(x), rtol=1e-12, atol=1e-12)
        if "Transpose" in name:
            size = [2 * n + 1 for n in SIZES[k]]
            assert mine(x, output_size=size).shape == theirs(x, output_size=size).shape


def block(lib: Any, channels: int, filters: int, stride: int) -> Any:
    """Return a basic block of a residual network."""
    nn = lib.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]  # torch has no types here
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(filters)
            self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(filters)
            self.downsample = nn.Sequential()
            if stride != 1:
                self.downsample = nn.Sequential(
                    nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters)
                )

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
            return (y + self.downsample(x)).relu()

    return Block()


def resnet18(lib: Any) -> Any:
    """Return ResNet-18 for ten classes."""
    nn = lib.nn
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for channels, filters, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        layers += [block(lib, channels, filters, stride), block(lib, filters, filters, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


@pytest.mark.wide
def test_a_resnet_trains_as_torchs(lib: Any, ours: Any) -> None:
    """ResNet-18 with its convolutions replaced, from the same state over the same images: the same losses."""
    lib.manual_seed(0)
    theirs = resnet18(lib).double()
    mine = resnet18(lib).double()
    mine.load_state_dict(theirs.state_dict())
    before = list(mine.parameters())
    assert ours.replace_convs(mine) is mine
    assert all(a is b for a, b in zip(before, mine.parameters(), strict=True))
    assert sum(type(m) is ours.Conv2d for m in mine.modules()) == 20
    assert not any(type(m) is lib.nn.Conv2d for m in mine.modules())
    images, labels = lib.randn(4, 3, 32, 32, dtype=lib.float64), lib.arange(4)
    losses: list[list[float]] = []
    for model in (mine, theirs):
        optimizer = lib.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        losses.append([])
        for _ in range(4):
            optimizer.zero_grad()
            loss = lib.nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-8)
    assert losses[0][-1] < losses[0][0]


def test_replacing_leaves_other_classes_alone(lib: Any, ours: Any) -> None:
    """A subclass of somebody else's stays; a convolution that is the model itself is replaced."""

    class Special(lib.nn.Conv2d):  # type: ignore[misc]  # torch has no types here
        pass

    model = ours.replace_convs(lib.nn.Sequential(Special(1, 1, 1), lib.nn.ConvTranspose1d(1, 1, 1)))
    assert [type(m) for m in model] == [Special, ours.ConvTranspose1d]
    assert type(ours.replace_convs(lib.nn.Conv3d(1, 1, 1))) is ours.Conv3d


def test_without_torch_the_extra_is_named() -> None:
    """Importing it then says what to install."""
    code = "import sys; sys.modules['torch'] = None\nimport im2col.integrations.torch"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    words = "this needs torch; install it with pip install 'im2col[torch]'"
    assert done.stderr.strip().endswith(f"im2col.errors.MissingExtraError: {words}")


def test_the_page_on_torch_runs(lib: Any) -> None:
    """Every example of docs/torch.md gives what it prints."""
    assert lib
    page = str(Path(__file__).parents[1] / "docs/torch.md")
    failed, tried = doctest.testfile(page, module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0
    assert tried > 10
