"""Convolutions, transposes and pools within JAX's programs: JAX's own results and gradients, and the library's bits."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import im2col
from im2col import ArgumentError, DTypeError, GeometryError, MissingExtraError, ShapeError

from .kit.outcomes import raises_exactly, require
from .kit.processes import HANG_SECONDS
from .kit.strategies import fewer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]


@pytest.fixture(scope="module", autouse=True)
def _no_programs_stay() -> Iterator[None]:
    """Let JAX forget what it has compiled: a gigabyte, which workers of the other tests would keep to their end."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()


@pytest.fixture(scope="module")
def jax() -> Any:
    """Return JAX."""
    return require("jax")


@pytest.fixture(scope="module")
def ours() -> Any:
    """Return im2col's functions for its programs."""
    require("jax")
    from im2col.integrations import jax as functions

    return functions


def normal(seed: int, *shape: int, dtype: Any = np.float32) -> Any:
    """Return an array of JAX with normal numbers; complex ones if they are asked for."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.standard_normal(shape)
    return require("jax.numpy").asarray(values.astype(dtype))


def whole(seed: int, *shape: int, dtype: Any = np.float32) -> Any:
    """Return an array of JAX with small integers."""
    return require("jax.numpy").asarray(np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype))


def check_slopes(function: Callable[..., Any], *operands: Any) -> None:
    """Compare gradients of both orders with finite differences."""
    check = require("jax.test_util").check_grads
    check(function, operands, order=2, modes=["rev"], rtol=0.02, atol=0.02, eps=0.02)


LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 3, 6, 5), (4, 3, 3, 2), {}),
    "strided": ((1, 4, 8, 7), (6, 2, 3, 3), {"stride": (2, 3), "padding": ((1, 2), 1), "groups": 2}),
    "dilated": ((1, 2, 9, 9), (3, 2, 2, 3), {"dilation": (3, 2), "padding": 2}),
    "depthwise": ((2, 4, 7, 7), (4, 1, 3, 3), {"groups": 4, "padding": "same"}),
    "one axis": ((2, 3, 12), (5, 3, 4), {"stride": 2}),
    "three axes": ((1, 2, 4, 5, 4), (3, 2, 2, 3, 2), {"padding": 1}),
}


TWICE = ("strided", "one axis")
"""Layers whose gradients' gradients are looked at, which JAX takes long to compile."""


def by_jax(jax: Any, x: Any, w: Any, options: dict[str, Any]) -> Any:
    """Return a convolution by JAX itself."""

    def along_axes(value: Any) -> Any:
        return (value,) * (w.ndim - 2) if isinstance(value, int) else value

    padding = options.get("padding", 0)
    pads = [(p, p) if isinstance(p, int) else p for p in along_axes(padding)]
    return jax.lax.conv_general_dilated(
        x,
        w,
        along_axes(options.get("stride", 1)),
        padding.upper() if isinstance(padding, str) else pads,
        rhs_dilation=along_axes(options.get("dilation", 1)),
        feature_group_count=options.get("groups", 1),
        precision="highest",
    )


@pytest.mark.whole
@pytest.mark.parametrize("name", LAYERS)
def test_convolutions_and_gradients_are_those_of_jax(name: str, jax: Any, ours: Any) -> None:
    """Of small integers to the bit, compiled and not, and so are the gradients of a sum of squares, and theirs."""
    shape, kernel, options = LAYERS[name]
    x, w, bias = whole(0, *shape), whole(1, *kernel), whole(2, kernel[0])
    along = (slice(None), *(None,) * (len(shape) - 2))

    def mine(*operands: Any) -> Any:
        return ours.conv(*operands, **options)

    def theirs(x: Any, w: Any, bias: Any) -> Any:
        return by_jax(jax, x, w, options) + bias[along]

    right = theirs(x, w, bias)
    for function in (mine, jax.jit(mine)):
        np.testing.assert_array_equal(function(x, w, bias), right, strict=True)
    np.testing.assert_array_equal(ours.conv(x, w, **options), by_jax(jax, x, w, options), strict=True)

    def gradients(function: Callable[..., Any]) -> Any:
        return jax.jit(jax.grad(lambda *operands: (function(*operands) ** 2).sum(), (0, 1, 2)))

    def slopes_of_gradients(function: Callable[..., Any]) -> Any:
        along = gradients(function)
        return jax.grad(lambda *operands: sum((each**2).sum() for each in along(*operands)), (0, 1, 2))(x, w, bias)

    for found, wanted in zip(gradients(mine)(x, w, bias), gradients(theirs)(x, w, bias), strict=True):
        np.testing.assert_array_equal(found, wanted, strict=True)
    if name not in TWICE:
        return
    for found, wanted in zip(slopes_of_gradients(mine), slopes_of_gradients(theirs), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * float(np.abs(wanted).max()))


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap", {"W": "wrap"}])
def test_padding_modes(mode: Any, jax: Any, ours: Any) -> None:
    """The result is that of an image padded before, and so are the gradients."""
    x, w = whole(0, 1, 2, 5, 6), whole(1, 3, 2, 3, 3)
    modes = ("constant", "wrap") if isinstance(mode, dict) else (mode, mode)

    def padded(x: Any, w: Any) -> Any:
        for axis, name in zip((2, 3), modes, strict=True):
            pads = [(0, 0)] * 4
            pads[axis] = (2, 1)
            x = jax.numpy.pad(x, pads, name)
        return by_jax(jax, x, w, {})

    def mine(x: Any, w: Any) -> Any:
        return ours.conv(x, w, padding=((2, 1), (2, 1)), padding_mode=mode)

    np.testing.assert_array_equal(mine(x, w), padded(x, w))
    for argument in (0, 1):
        found, wanted = (jax.grad(lambda *a, f=f: (f(*a) ** 2).sum(), argument)(x, w) for f in (mine, padded))
        np.testing.assert_array_equal(found, wanted)


def test_what_pads_counts_for_the_weights_alone(jax: Any, ours: Any) -> None:
    """A constant has no gradient, but weights that see it have."""
    x, w = whole(0, 1, 2, 4, 4), whole(1, 3, 2, 3, 3)
    value = np.array([1.0, -2.0], np.float32)

    def padded(x: Any, w: Any) -> Any:
        wide = jax.numpy.broadcast_to(value[None, :, None, None], (1, 2, 6, 6)).at[:, :, 1:5, 1:5].set(x)
        return by_jax(jax, wide, w, {})

    def mine(x: Any, w: Any) -> Any:
        return ours.conv(x, w, padding=1, padding_value=value)

    np.testing.assert_array_equal(mine(x, w), padded(x, w))
    check_slopes(mine, x / 4, w / 4)
    for argument in (0, 1):
        found, wanted = (jax.grad(lambda *a, f=f: (f(*a) ** 2).sum(), argument)(x, w) for f in (mine, padded))
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("layout", ["NHWC", "CHWN", "CHW", "HWC"])
def test_layouts(layout: str, jax: Any, ours: Any) -> None:
    """Results, gradients and mapped images are those of the default order."""
    x, w, bias = whole(0, 2, 3, 6, 5), whole(1, 4, 3, 3, 3), whole(2, 4)
    if "N" not in layout:
        x = x[:1]
    order = ["NCHW".index(letter) for letter in layout]

    def turned(x: Any) -> Any:
        y = x.transpose(order) if "N" in layout else x[0].transpose([i - 1 for i in order])
        y = ours.conv(y, w, bias, layout=layout, stride=2, padding=1)
        back = [layout.index(letter) for letter in "NCHW" if letter in layout]
        return y.transpose(back) if "N" in layout else y.transpose(back)[None]

    def plain(x: Any) -> Any:
        return ours.conv(x, w, bias, stride=2, padding=1)

    np.testing.assert_array_equal(turned(x), plain(x))
    found, wanted = (jax.grad(lambda x, f=f: (f(x) ** 2).sum())(x) for f in (turned, plain))
    np.testing.assert_array_equal(found, wanted)
    many = whole(3, 4, *x.shape)
    np.testing.assert_array_equal(jax.vmap(turned)(many), np.stack([plain(each) for each in many]))


def test_mapped_images_are_one_call(jax: Any, ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`vmap` over images, also twice, calls the library once; over weights once for each."""
    from im2col.integrations.jax import convolutions as module

    convolutions: Any = module
    seen: list[tuple[int, ...]] = []
    real = convolutions.conv_arrays

    def noted(x: Any, *more: Any, **options: Any) -> Any:
        seen.append(x.shape)
        return real(x, *more, **options)

    monkeypatch.setattr(convolutions, "conv_arrays", noted)
    x, w, b = whole(0, 2, 5, 3, 6, 6), whole(1, 4, 3, 3, 3), whole(2, 4)
    right = np.stack([np.asarray(im2col.conv(each, w, b)) for each in np.asarray(x)])
    found = jax.jit(jax.vmap(jax.vmap(lambda x: ours.conv(x, w, b))))(x)
    np.testing.assert_array_equal(found, right)
    assert seen == [(10, 3, 6, 6)]
    seen.clear()
    ws = whole(3, 5, 4, 3, 3, 3)
    found = jax.vmap(lambda x, w: ours.conv(x, w, b), in_axes=(1, 0), out_axes=1)(x, ws)
    right = np.stack([im2col.conv(np.asarray(x)[:, i], np.asarray(ws)[i], np.asarray(b)) for i in range(5)], 1)
    np.testing.assert_array_equal(found, right)
    assert seen == [(2, 3, 6, 6)] * 5


def test_a_gradient_for_each_image(jax: Any, ours: Any) -> None:
    """`vmap` of `grad`: of each image that of itself alone."""
    xs, w = whole(0, 4, 3, 6, 6), whole(1, 2, 3, 3, 3)
    gradient = jax.grad(lambda w, x: (ours.conv(x, w) ** 2).sum())
    found = jax.vmap(gradient, in_axes=(None, 0))(w, xs)
    np.testing.assert_array_equal(found, np.stack([gradient(w, x) for x in xs]))


@pytest.mark.parametrize("arguments", ["both", "image", "weights"])
def test_complex_numbers(arguments: str, jax: Any, ours: Any) -> None:
    """JAX does not conjugate its gradients; those of real operands are real."""
    x = normal(0, 1, 2, 6, 6, dtype=np.float32 if arguments == "weights" else np.complex64)
    w = normal(1, 3, 2, 3, 3, dtype=np.float32 if arguments == "image" else np.complex64)

    def theirs(x: Any, w: Any) -> Any:
        return by_jax(jax, x.astype(np.complex64), w.astype(np.complex64), {"padding": 1})

    y, back = jax.vjp(lambda x, w: ours.conv(x, w, padding=1), x, w)
    right, back_of_theirs = jax.vjp(theirs, x, w)
    np.testing.assert_allclose(y, right, rtol=1e-5, atol=1e-4)
    slope = y * 1j + 1
    for found, wanted in zip(back(slope), back_of_theirs(slope), strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)


def test_gradients_with_a_complex_padding_value(jax: Any, ours: Any) -> None:
    """What lies around an image is not conjugated either: gradients of both orders are those of JAX, padded by it."""
    x, w = normal(0, 1, 2, 5, 5, dtype=np.complex64), normal(1, 3, 2, 3, 3, dtype=np.complex64)
    value, no_pad = 0.25 + 0.75j, (0, 0)

    def mine(x: Any, w: Any) -> Any:
        return ours.conv(x, w, padding=1, padding_value=value)

    def theirs(x: Any, w: Any) -> Any:
        padded = jax.numpy.pad(x, (no_pad, no_pad, (1, 1), (1, 1)), constant_values=value)
        return jax.lax.conv_general_dilated(padded, w, (1, 1), "VALID")

    y, back = jax.vjp(mine, x, w)
    right, back_of_theirs = jax.vjp(theirs, x, w)
    np.testing.assert_allclose(y, right, rtol=1e-5, atol=1e-4)
    for found, wanted in zip(back(y), back_of_theirs(y), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)

    def twice(function: Callable[[Any, Any], Any]) -> Any:
        slope = jax.grad(lambda w, x: (function(x, w) ** 2).sum(), holomorphic=True)
        return jax.grad(lambda x: (slope(w, x) ** 2).sum(), holomorphic=True)(x)

    wanted = twice(theirs)
    np.testing.assert_allclose(twice(mine), wanted, rtol=1e-4, atol=1e-5 * float(abs(wanted).max()))


TRANSPOSES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 3, 4, 5), (3, 2, 3, 2), {}),
    "strided": ((1, 4, 4, 3), (4, 2, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}),
    "to a size": ((2, 3, 5), (3, 4, 4), {"stride": 3, "output_size": 17}),
    "cut": ((1, 2, 4, 4), (2, 3, 3, 3), {"stride": 3, "padding": ((2, 1), (0, 3)), "dilation": 2}),
    "channels last": ((1, 4, 4, 3), (3, 2, 3, 3), {"layout": "NHWC", "stride": 2}),
}


@pytest.mark.whole
@pytest.mark.parametrize("name", TRANSPOSES)
def test_transposes(name: str, jax: Any, ours: Any) -> None:
    """The bits of `im2col.conv_transpose`; gradients of both orders are those of finite differences."""
    shape, kernel, options = TRANSPOSES[name]
    x, w, bias = normal(0, *shape), normal(1, *kernel), normal(2, kernel[1] * options.get("groups", 1))

    def mine(*operands: Any) -> Any:
        return ours.conv_transpose(*operands, **options)

    right = im2col.conv_transpose(*map(np.asarray, (x, w, bias)), **options)
    np.testing.assert_array_equal(jax.jit(mine)(x, w, bias), right, strict=True)
    check_slopes(mine, x, w, bias)
    many = normal(3, 3, *shape)
    found = jax.vmap(lambda x: mine(x, w, bias))(many)
    np.testing.assert_array_equal(found, np.stack([np.asarray(mine(each, w, bias)) for each in many]))


def test_output_padding_beyond_the_stride(ours: Any) -> None:
    """No convolution is the adjoint of that, and a gradient that is wrong would not be noticed."""
    message = (
        "conv_transpose: output_padding leaves 3 pixels that no window reaches, which needs a stride of more, got 2; "
        "pad the result with jax.numpy.pad"
    )
    with raises_exactly(ArgumentError, message):
        ours.conv_transpose(normal(0, 1, 1, 4, 4), normal(1, 1, 1, 3, 3), stride=2, output_padding=3, dilation=4)


POOLS: dict[str, dict[str, Any]] = {
    "plain": {"kernel_size": 2},
    "overlapping": {"kernel_size": 3, "stride": 2, "padding": 1},
    "sticking out": {"kernel_size": (2, 3), "ceil_mode": True},
    "dilated": {"kernel_size": 2, "stride": 1, "dilation": 2},
    "channels last": {"kernel_size": 2, "stride": (1, 2), "layout": "NHWC"},
    "one image": {"kernel_size": 3, "layout": "CHW"},
    "padding alone": {"kernel_size": 1, "stride": 2, "padding": 2},
}


@pytest.mark.parametrize("counted", [None, True, False])
@pytest.mark.parametrize("name", POOLS)
def test_pools(name: str, counted: bool | None, jax: Any, ours: Any) -> None:
    """The bits of the library's; gradients of both orders are those of finite differences."""
    options = POOLS[name] if counted is None else {**POOLS[name], "count_include_pad": counted}
    shape = (2, 5, 6, 7) if options.get("layout") != "CHW" else (5, 6, 7)
    values = np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape)  # no two alike
    x = jax.numpy.asarray(values.astype(np.float32) / 8)
    pool = "max_pool" if counted is None else "average_pool"

    def mine(x: Any) -> Any:
        return getattr(ours, pool)(x, **options)

    right = getattr(im2col, pool)(np.asarray(x), **options)
    np.testing.assert_array_equal(jax.jit(mine)(x), right, strict=True)
    finite = np.isfinite(right)

    def where_finite(x: Any) -> Any:
        return jax.numpy.where(finite, mine(x), 0)

    check_slopes(where_finite, x)
    many = jax.numpy.stack([x, x[::-1]])
    np.testing.assert_array_equal(jax.vmap(mine)(many), np.stack([np.asarray(mine(each)) for each in many]))


def test_gradients_of_maxima_are_those_of_jax(jax: Any, ours: Any) -> None:
    """Of a function of maxima that is no sum: its slopes, and theirs."""
    x = jax.numpy.asarray(np.random.default_rng(0).permutation(72).reshape(1, 2, 6, 6).astype(np.float32))

    def theirs(x: Any) -> Any:
        return jax.lax.reduce_window(x, -np.inf, jax.lax.max, (1, 1, 3, 3), (1, 1, 2, 2), "VALID")

    def mine(x: Any) -> Any:
        return ours.max_pool(x, 3, stride=2)

    def twice(pool: Callable[[Any], Any]) -> Any:
        slope = jax.grad(lambda x: (pool(x) ** 3).sum())
        return slope(x), jax.grad(lambda x: (slope(x) ** 2).sum())(x)

    for found, wanted in zip(twice(mine), twice(theirs), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


@fewer(2)
@given(st.data())
def test_any_layer_has_the_bits_of_the_library(data: st.DataObject) -> None:
    """Compiled, of normal numbers: what JAX hands over are its own buffers, which begin anywhere."""
    ours, jax = require("im2col.integrations.jax"), require("jax")
    spatial, groups = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))
    kernel = data.draw(st.tuples(*[st.integers(1, 3)] * spatial))
    sizes = data.draw(st.tuples(*[st.integers(3, 6)] * spatial))
    options: dict[str, Any] = {
        "groups": groups,
        "stride": data.draw(st.integers(1, 3)),
        "padding": data.draw(st.sampled_from([0, 1, "same", "full"])),
        "precision": data.draw(st.sampled_from(["native", "strict"])),
    }
    x = normal(0, data.draw(st.integers(1, 3)), 2 * groups, *sizes)
    w, bias = normal(1, 4 * groups, 2, *kernel), normal(2, 4 * groups)
    right = im2col.conv(*map(np.asarray, (x, w, bias)), **options)
    np.testing.assert_array_equal(jax.jit(lambda *a: ours.conv(*a, **options))(x, w, bias), right, strict=True)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "bfloat16", "float16", "bool", "complex64"])
def test_numbers(dtype: str, jax: Any, ours: Any) -> None:
    """Every dtype of JAX's, with the dtype and the bits of the library's result."""
    x = whole(0, 1, 2, 5, 5).astype(dtype)
    w = whole(1, 3, 2, 3, 3).astype(dtype)
    right = im2col.conv(np.asarray(x), np.asarray(w))
    for function in (ours.conv, jax.jit(ours.conv)):
        found = function(x, w)
        assert found.dtype == right.dtype
        np.testing.assert_array_equal(np.asarray(found), right)


def test_integers_have_no_gradient(jax: Any, ours: Any) -> None:
    """Weights of an image of integers have; means of integers are of 32 bits, as JAX has it."""
    x, w = whole(0, 1, 2, 5, 5, dtype=np.uint8), whole(1, 3, 2, 3, 3)
    found = jax.grad(lambda w: (ours.conv(x, w) ** 2).sum())(w)
    wanted = jax.grad(lambda w: (by_jax(jax, x.astype(np.float32), w, {}) ** 2).sum())(w)
    np.testing.assert_array_equal(found, wanted, strict=True)
    assert ours.average_pool(x, 2).dtype == np.float32
    np.testing.assert_array_equal(ours.average_pool(x, 2), im2col.average_pool(np.asarray(x), 2).astype(np.float32))


def test_64_bits(jax: Any, ours: Any) -> None:
    """Where JAX was told to have them."""
    with jax.enable_x64(True):
        x, w = normal(0, 1, 2, 5, 5, dtype=float), normal(1, 3, 2, 3, 3, dtype=float)
        found = jax.jit(ours.conv)(x, w)
        np.testing.assert_array_equal(found, im2col.conv(np.asarray(x), np.asarray(w)), strict=True)
        assert ours.average_pool(whole(0, 4, 4, dtype=np.int32), 2).dtype == np.float64


def test_equal_layers_are_compiled_once(jax: Any, ours: Any) -> None:
    """A layer that is called again is known by what it was told, however it was written."""
    from im2col.integrations.jax.calls import Settings

    assert Settings({"a": 1, "b": (2, 3)}) == Settings({"b": (2, 3), "a": 1})
    assert hash(Settings({"a": 1})) == hash(Settings({"a": 1}))
    assert Settings({"a": 1}) != Settings({"a": True})
    assert Settings({"a": object()}) != Settings({"a": object()})
    traced: list[int] = []

    def traced_layer(x: Any, w: Any) -> Any:
        traced.append(1)
        return ours.conv(x, w, padding=1)

    layer = jax.jit(traced_layer)
    x, w = whole(0, 1, 2, 5, 5), whole(1, 3, 2, 3, 3)
    for _ in range(3):
        layer(x, w)
    assert traced == [1]


def test_what_is_wrong_is_said_while_tracing(jax: Any, ours: Any) -> None:
    """In the words of the library, before anything runs."""
    x, w = normal(0, 1, 2, 5, 5), normal(1, 3, 2, 3, 3)
    refused: list[tuple[Callable[[], Any], type[Exception], str]] = [
        (lambda: ours.conv(x, w, stride=0), GeometryError, "^conv: stride must be at least 1, got 0"),
        (lambda: ours.conv(x, w[:, :1]), ShapeError, "^conv: the image .* has 2 channels"),
        (lambda: ours.conv(x, w, w[0]), ShapeError, "^conv: bias has shape"),
        (lambda: ours.conv(x, w, algorithm="fish"), ArgumentError, "^conv: algorithm"),
        (lambda: ours.conv([["a"]], w), DTypeError, "^conv: x has dtype"),
        (lambda: ours.conv(x, w, activation="relu"), TypeError, r"^conv\(\) got an unexpected keyword"),
        (lambda: ours.conv_transpose(x, w), ShapeError, "^conv_transpose: "),
        (lambda: ours.max_pool(x, 9), GeometryError, "^max_pool: the window spans 9|^max_pool: "),
        (lambda: ours.max_pool(x, 2, return_indices=True), TypeError, r"^max_pool\(\) got an unexpected keyword"),
        (lambda: ours.average_pool(x, 0), GeometryError, "^average_pool: kernel_size must be at least 1, got 0"),
    ]
    for call, error, words in refused:
        with pytest.raises(error, match=words):
            call()
        with pytest.raises(error, match=words):
            jax.jit(call)()


def traced(jax: Any, transform: str, call: Callable[[Any], Any]) -> Any:
    """Call a function with a number that JAX traces."""
    if transform == "grad":
        return jax.grad(lambda n: call(n).sum())(2.0)
    return getattr(jax, transform)(call)(jax.numpy.ones(3))


@pytest.mark.parametrize("transform", ["jit", "vmap", "grad"])
def test_keywords_are_constants(transform: str, jax: Any, ours: Any) -> None:
    """What decides on a program cannot be traced by it."""
    x, w = normal(0, 1, 2, 5, 5), normal(1, 3, 2, 3, 3)
    calls: dict[str, Callable[[Any], Any]] = {
        "conv: stride": lambda n: ours.conv(x, w, stride=n),
        "conv: padding": lambda n: ours.conv(x, w, padding=[(n, 1), (1, 1)]),
        "conv: padding_value": lambda n: ours.conv(x, w, padding=1, padding_value=n),
        "conv_transpose: output_size": lambda n: ours.conv_transpose(x, w, output_size=n),
        "max_pool: kernel_size": lambda n: ours.max_pool(x, n),
        "average_pool: kernel_size": lambda n: ours.average_pool(x, (n, 2)),
    }
    for words, call in calls.items():
        rule = f"^{words} must be a constant, and is traced by JAX, .*; name it in static_argnames of jax.jit, or let"
        with pytest.raises(ArgumentError, match=rule):
            traced(jax, transform, call)
    static = jax.jit(lambda x, stride: ours.conv(x, w, stride=stride), static_argnames="stride")
    np.testing.assert_array_equal(static(x, stride=2), im2col.conv(np.asarray(x), np.asarray(w), stride=2))


def test_keys_are_no_numbers(jax: Any, ours: Any) -> None:
    """Those of JAX's random numbers have a dtype that NumPy knows nothing of."""
    keys, w = jax.random.split(jax.random.key(0), 16).reshape(1, 1, 4, 4), normal(0, 1, 1, 3, 3)
    message = "conv: x has dtype key<fry>, which is not a number; convert it first, as in jax.random.key_data(x)"
    for call in (ours.conv, jax.jit(ours.conv)):
        with pytest.raises(DTypeError) as caught:
            call(keys, w)
        assert str(caught.value).splitlines()[0] == message  # JAX's own words follow, where it may say them
    assert ours.conv(jax.random.key_data(keys)[..., 0], w).shape == (1, 1, 2, 2)


def test_lists_and_arrays_are_taken(ours: Any) -> None:
    """As JAX's own functions take NumPy's."""
    found = ours.conv(np.ones((1, 1, 3, 3), np.float32), [[[[1.0, 2.0]]]])
    np.testing.assert_array_equal(found, np.full((1, 1, 3, 2), 3.0))


HANG = """
import jax, jax.numpy as jnp
from im2col.integrations.jax import conv

@jax.jit
def f(x, w):
    y = conv(jnp.sin(x) @ jnp.cos(x), w, padding=1)
    return (jnp.cos(y) @ conv(y + 1, w, padding=1)).sum()

x, w = jnp.ones((1, 1, 1200, 1200)), jnp.ones((1, 1, 3, 3))
for i in range(3):
    result = f(x + i, w)
print(float(result) == float(result))
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not bind processes to a CPU")
def test_one_cpu_is_enough() -> None:
    """JAX copies what its other callbacks are given with the thread that waits for them: that hangs."""
    require("jax")
    cpu = min(os.sched_getaffinity(0))
    command = [sys.executable, "-c", f"import os; os.sched_setaffinity(0, {{{cpu}}})\n{HANG}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS, check=True)
    assert done.stdout == "True\n"


def test_without_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    import im2col.integrations.jax as module

    monkeypatch.setitem(sys.modules, "im2col.integrations.jax.functions", None)
    monkeypatch.delitem(vars(module), "conv", raising=False)
    monkeypatch.delitem(vars(module), "functions", raising=False)
    with raises_exactly(MissingExtraError, "this needs JAX; install it with pip install 'im2col[jax]'"):
        _ = module.conv
    with pytest.raises(AttributeError, match="has no attribute 'fish'"):
        _ = module.fish


def test_the_page_runs() -> None:
    """Every example of docs/jax.md gives what it prints."""
    require("jax")
    page = str(Path(__file__).parents[1] / "docs/jax.md")
    failed, tried = doctest.testfile(page, module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0
    assert tried > 10
