"""Array kinds: what a function returns is of the kind of its first array, over the same memory; or it says why not."""

from __future__ import annotations

import contextlib
import doctest
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest

import im2col
from im2col import DTypeError, Im2colError, OutputError, ShapeError
from im2col.spec import arrays, foreign

from .kit.calls import calls
from .kit.nasty import hostile
from .kit.outcomes import raises_exactly, require
from .kit.strategies import numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

PACKAGES = ("array_api_strict", "torch", "jax.numpy")
X, W = np.arange(32.0).reshape(1, 2, 4, 4), np.ones((3, 2, 3, 3))


@contextlib.contextmanager
def making(package: str) -> Iterator[Callable[[Any], Any]]:
    """Yield what makes arrays of a package of ndarrays, of their dtypes."""
    module = require(package)
    if package != "jax.numpy":
        yield module.asarray
        return
    with require("jax").enable_x64(True):
        yield module.asarray


def arguments_of(good: dict[str, Any], make: Callable[[Any], Any]) -> dict[str, Any]:
    """Return the arguments of a call with its arrays of another kind; tiles with results keep their places."""
    made = {name: make(value) if type(value) is np.ndarray else value for name, value in good.items()}
    if "results" in made:
        made["results"] = [(tile, make(pixels.copy())) for tile, pixels in good["results"]]
    return made


RETURNING = [
    name
    for name, call in calls().items()
    if any(type(each) is np.ndarray for each in list(call.good().values())[:1]) or name == "blend_tiles"
]
"""Calls whose first argument is an array."""
OTHERS = {"conv_matrix", "conv_operator", "convolve_blocks", "illustrate", "iter_tiles", "plan_blocks"}
"""Those of them that do not return arrays."""


@pytest.mark.whole
@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("name", sorted(set(RETURNING) - OTHERS))
def test_what_comes_in_goes_out(name: str, package: str) -> None:
    """Of every public function: the arrays that it returns for ndarrays, of the kind of the first argument."""
    call = calls()[name]
    expected = call.function(**call.good())
    with making(package) as make:
        arguments = arguments_of(call.good(), make)
        if (name, package) == ("patches", "jax.numpy"):
            with pytest.raises(DTypeError, match=r"^patches: the result .* cannot be an array of the kind that was"):
                call.function(**arguments)
            return
        first = next(iter(arguments.values()))
        kind = type(first if name != "blend_tiles" else first[0][1])
        for found, right in zip(
            *(each if type(each) is tuple else (each,) for each in (call.function(**arguments), expected)), strict=True
        ):
            assert type(found) is kind
            np.testing.assert_array_equal(np.asarray(found), right, strict=True)


def test_functions_that_return_arrays_are_known() -> None:
    """No function of arrays is left out."""
    assert len(RETURNING) > 25
    assert set(RETURNING) > OTHERS


@pytest.mark.parametrize("package", PACKAGES)
def test_indices_are_of_the_kind_too(package: str) -> None:
    """A tuple of arrays comes back as one, its parts of the kind."""
    with making(package) as make:
        x = make(X)
        found = im2col.max_pool(x, 2, return_indices=True)
        assert [type(each) for each in found] == [type(x)] * 2
        for each, right in zip(found, im2col.max_pool(X, 2, return_indices=True), strict=True):
            np.testing.assert_array_equal(np.asarray(each), right, strict=True)


@pytest.mark.parametrize("package", PACKAGES[:2])
def test_nothing_is_copied(package: str) -> None:
    """Patches show the array's own memory; a result is written where `out` says, and `out` returned."""
    with making(package) as make:
        x, w = make(X.copy()), make(W.copy())
        seen = im2col.patches(x, 3)
        assert np.shares_memory(np.asarray(seen), np.asarray(x))
        out = make(np.full((1, 3, 2, 2), np.nan))
        assert im2col.conv(x, w, out=out) is out
        np.testing.assert_array_equal(np.asarray(out), im2col.conv(X, W))
        plain = np.empty((1, 3, 2, 2))
        assert im2col.conv(x, w, out=plain) is plain
        np.testing.assert_array_equal(plain, np.asarray(out))
        indices = im2col.max_pool(x, 2, return_indices=True, out=(greatest := make(np.empty((1, 2, 2, 2)))))
        assert indices[0] is greatest
        with pytest.raises(OutputError, match=r"^conv: out shares memory with an input, "):
            im2col.conv(x, make(np.ones((2, 2, 1, 1))), out=x)


def test_what_is_never_written_to_is_no_output() -> None:
    """JAX's arrays stay what they are."""
    jnp = require("jax.numpy")
    x, w = jnp.ones((1, 1, 4, 4)), jnp.ones((1, 1, 3, 3))
    with raises_exactly(OutputError, "conv: out is read-only; pass a writeable array"):
        im2col.conv(x, w, out=jnp.ones((1, 1, 2, 2)))


@pytest.mark.parametrize("package", PACKAGES)
def test_the_first_array_decides(package: str) -> None:
    """The others may be of any kind; ndarrays and lists give ndarrays."""
    with making(package) as make:
        right = im2col.conv(X, W)
        for x, w, kind in ((make(X), W, type(make(X))), (X, make(W), np.ndarray), (X.tolist(), make(W), np.ndarray)):
            found = im2col.conv(x, w)
            assert type(found) is kind
            np.testing.assert_array_equal(np.asarray(found), right)
        assert type(im2col.conv(w=make(W), x=make(X))) is type(make(X))


@pytest.mark.parametrize("package", PACKAGES)
def test_plans_return_what_they_are_called_with(package: str) -> None:
    """Call by call; weights and shapes are the plan's own."""
    with making(package) as make:
        plan = im2col.plan(X.shape, make(W))
        for x in (make(X), X, make(X), X):
            found = plan(x)
            assert type(found) is type(x)
            np.testing.assert_array_equal(np.asarray(found), im2col.conv(X, W))
        gradient = im2col.plan_weight_gradient(X.shape, 3, 3, x_dtype=X.dtype)
        assert type(gradient(make(X), make(np.ones((1, 3, 2, 2))))) is type(make(X))
        with pytest.raises(ShapeError, match=r"^plan: x has shape \(1, 2, 4\) but the plan was made for"):
            plan(make(X[0, 0, :1, :].reshape(1, 1, 4).repeat(2, 1)))


@pytest.mark.parametrize("package", PACKAGES)
def test_tiles_are_of_the_kind(package: str) -> None:
    """Copies, so that what is done to a tile leaves the image alone; so is the image of their results."""
    with making(package) as make:
        x = make(X.copy())
        tiles = list(im2col.iter_tiles(x, 3, overlap=1))
        assert {type(tile.pixels) for tile in tiles} == {type(x)}
        assert not any(np.shares_memory(np.asarray(tile.pixels), np.asarray(x)) for tile in tiles)
        blended = im2col.blend_tiles((tile, tile.pixels) for tile in tiles)
        assert type(blended) is type(x)
        np.testing.assert_array_equal(np.asarray(blended), X)
        if package != "jax.numpy":
            out = make(np.empty(X.shape))
            assert im2col.blend_tiles(((tile, tile.pixels) for tile in tiles), out=out) is out
            np.testing.assert_array_equal(np.asarray(out), X)


@pytest.mark.parametrize("package", PACKAGES[1:])
@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_narrow_numbers(package: str, name: str) -> None:
    """Those of ml_dtypes come back under the package's own name."""
    module = require(package)
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    x = numbers((1, 2, 4, 4), np.dtype(np.float32), 0)
    given = module.asarray(x).to(getattr(module, name)) if package == "torch" else module.asarray(x, dtype)
    found = im2col.conv(given, given[:, :, :3, :3])
    assert found.dtype == given.dtype
    rounded = x.astype(dtype)
    right = im2col.conv(rounded, rounded[:, :, :3, :3]).astype(float)
    wide: Any = found
    np.testing.assert_array_equal(np.asarray(wide.float() if package == "torch" else wide).astype(float), right)


def test_without_64_bits_jax_keeps_32() -> None:
    """That is its own rule, unless it was told otherwise: means of integers, and indices."""
    jnp = require("jax.numpy")
    x = jnp.arange(16).reshape(4, 4)
    assert im2col.average_pool(x, 2).dtype == np.float32
    assert im2col.max_pool(x, 2, return_indices=True)[1].dtype == np.int32


class Remote:
    """An array on another device, which would copy itself without a word."""

    shape, dtype, device = (2, 3), np.dtype("f4"), "moon:0"

    def __init__(self, device: Any) -> None:
        self._device = device

    def __dlpack_device__(self) -> Any:
        if isinstance(self._device, Exception):
            raise self._device
        return self._device, 0

    def __array__(self, *_: Any, **__: Any) -> Array:
        assert self._device in {1, 3, 11, 13}, "copied"
        return np.ones(self.shape, self.dtype)


@pytest.mark.parametrize("device", [2, 8, 10, BufferError("it is spread over 2 devices")])
def test_nothing_is_copied_from_a_device(device: Any) -> None:
    """CUDA's, Metal's, ROCm's, several: the error says where it is, before any copy."""
    where = f"out of the CPU's reach ({device})" if isinstance(device, Exception) else "on the device 'moon:0'"
    message = (
        f"x is the tests Remote (2, 3) of float32 (24 B) {where}, from where nothing is copied unasked; "
        "pass a copy in CPU memory"
    )
    with raises_exactly(DTypeError, message):
        arrays.as_array("x", Remote(device))
    with raises_exactly(DTypeError, f"im2col: {message}"):
        im2col.im2col(Remote(device), 2)


@pytest.mark.parametrize("device", [1, 3, 11, 13])
def test_what_the_cpu_reads_is_taken(device: int) -> None:
    """Its own memory, and what CUDA and ROCm share with it."""
    assert arrays.as_array("x", Remote(device)).shape == (2, 3)


def test_devices_of_the_standard() -> None:
    """array-api-strict has some that NumPy must not read."""
    xp = require("array_api_strict")
    x = xp.asarray(X, device=xp.Device("device1"))
    with pytest.raises(DTypeError, match=r"^conv: x of type Array cannot be used as a NumPy array \(Can't convert"):
        im2col.conv(x, W)


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_gradients_are_not_lost(name: str) -> None:
    """A tensor whose gradient is asked for is for the functions that have gradients."""
    torch = require("torch")
    dtype = getattr(torch, name)
    x = torch.ones((1, 1, 4, 4), dtype=dtype, requires_grad=True)
    w = torch.ones((1, 1, 3, 3), dtype=dtype)
    for arguments, which in (((x, w), "x"), ((w, x), "w"), ((np.ones((1, 1, 4, 4), np.float32), x), "w")):
        message = (
            f"conv: {which} is a tensor whose gradient is asked for, which would be lost; call the functions of "
            f"im2col.integrations.torch, or pass {which}.detach()"
        )
        with raises_exactly(DTypeError, message):
            im2col.conv(*arguments)
    assert im2col.conv(x.detach(), w).dtype == dtype


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_tangents_are_not_lost() -> None:
    """Nor is the derivative of torch's forward mode, which has no mark of its own."""
    torch = require("torch")
    forward = torch.autograd.forward_ad
    w = torch.ones((1, 1, 3, 3))
    message = "conv: x has a tangent, which would be lost; use torch's own function, or pass x.detach()"
    with forward.dual_level():
        x = forward.make_dual(torch.ones((1, 1, 4, 4)), torch.ones((1, 1, 4, 4)))
        with raises_exactly(DTypeError, message):
            im2col.conv(x, w)
        assert float(im2col.conv(x.detach(), w).sum()) == 36


@pytest.mark.parametrize("name", ["bfloat16", "float8_e5m2"])
def test_patches_of_narrow_tensors_are_views(name: str) -> None:
    """Torch takes no dtype of ml_dtypes, but its bits."""
    torch = require("torch")
    x = torch.arange(16.0).reshape(4, 4).to(getattr(torch, name))
    found: Any = im2col.patches(x, 3)
    assert found.dtype == x.dtype
    assert found.data_ptr() == x.data_ptr()
    wide = x.float()
    for i, j in np.ndindex(2, 2):
        assert bool((found[i, j].float() == wide[i : i + 3, j : j + 3]).all())


def test_keywords_are_as_good_as_places() -> None:
    """An ndarray by its name is found at once, a tensor's result is of its kind."""
    torch = require("torch")
    for x, kind in ((X, np.ndarray), (torch.asarray(X), torch.Tensor)):
        found = im2col.conv(w=W, x=x)
        assert type(found) is kind
        np.testing.assert_array_equal(np.asarray(found), im2col.conv(X, W))


HOSTILE: dict[str, Callable[[Any], Any]] = {
    "class": lambda _: hostile(type, "__getattr__")("Classless", (), {})(),
    "class and all": lambda _: hostile(type, "__getattribute__", "__getattr__")("Classless", (), {})(),
    "subclass": lambda torch: torch.ones(1, 1, 4, 4).as_subclass(
        type("Refusing", (torch.Tensor,), {"__torch_function__": classmethod(_refuse)})
    ),
}


def _refuse(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("no")


@pytest.mark.parametrize("name", HOSTILE)
def test_classes_that_answer_no_question(name: str) -> None:
    """Their own errors are the cause of one that names the operation, as every argument, and beside a tensor."""
    torch = require("torch")
    value, x, w = HOSTILE[name](torch), torch.ones((1, 1, 4, 4)), torch.ones((1, 1, 3, 3))
    for call, which in (
        (lambda: im2col.conv(value, w), "x"),
        (lambda: im2col.conv(x, value), "w"),
        (lambda: im2col.conv(x, w, bias=value), "bias"),
        (lambda: im2col.iter_tiles(value, 2), "x"),
        (lambda: im2col.plan((1, 1, 4, 4), w)(value), "x"),
    ):
        with pytest.raises(
            DTypeError, match=rf"^\w+: {which} of type \w+ (cannot be used as a NumPy array|is no array)"
        ):
            call()
    with pytest.raises(Im2colError, match=r"^conv: padding "):
        im2col.conv(x, w, padding=value)


def test_tensors_without_memory_are_refused() -> None:
    """Those of the device meta have a shape alone."""
    torch = require("torch")
    message = (
        "conv: x is the torch Tensor on the device meta, from where nothing is copied unasked; pass a copy in CPU "
        "memory"
    )
    with raises_exactly(DTypeError, message):
        im2col.conv(torch.empty((1, 2, 4, 4), device="meta"), W)


def test_what_jax_traces_has_no_numbers() -> None:
    """The error names the functions that can wait for them."""
    jax = require("jax")
    message = "conv: x is traced by JAX, and has no numbers yet; call the functions of im2col.integrations.jax"
    for transform in (jax.jit, jax.vmap, lambda f: jax.grad(lambda x: f(x).sum())):
        with pytest.raises(DTypeError) as caught:
            transform(lambda x: im2col.conv(x, W))(jax.numpy.ones((1, 1, 2, 4, 4), np.float32))
        assert str(caught.value) == message


def test_what_jax_has_deleted_is_refused() -> None:
    """As what is donated: there is no device to copy it from."""
    jnp = require("jax.numpy")
    x = jnp.ones((1, 2, 4, 4))
    x.delete()
    message = (
        "conv: x is an array that JAX has deleted, as what is donated to a function of jax.jit; pass a copy that was "
        "made before"
    )
    with raises_exactly(DTypeError, message):
        im2col.conv(x, W)


def test_what_a_kind_lacks() -> None:
    """Numbers that torch has not."""
    torch = require("torch")
    x = torch.ones((1, 2, 4, 4))
    with pytest.raises(DTypeError, match=r"^conv: the result \(1, 3, 2, 2\) of .*; pass an ndarray, as in np.asarray"):
        im2col.conv(x, W, dtype=np.clongdouble)


class Foreign:
    """An array with a namespace."""

    def __init__(self, namespace: Any) -> None:
        self._namespace = namespace

    def __array_namespace__(self, **_: Any) -> Any:
        if isinstance(self._namespace, Exception):
            raise self._namespace
        return self._namespace

    def __array__(self, *_: Any, **__: Any) -> Array:
        return X


@pytest.mark.parametrize("namespace", [None, SimpleNamespace(), ValueError("none"), 3])
def test_namespaces_that_make_no_arrays(namespace: Any) -> None:
    """What cannot be given back comes as an ndarray; an object's own error is nobody's here."""
    assert foreign.kind_of(Foreign(namespace)) is None
    assert type(im2col.conv(Foreign(namespace), W)) is np.ndarray


@pytest.mark.parametrize("x", [X, X.view(np.memmap), X.tolist(), np.float64(1), None, "x", X[:0]], ids=str)
def test_ndarrays_and_lists_are_of_no_kind(x: Any) -> None:
    """Nor subclasses, nor scalars of NumPy."""
    assert foreign.kind_of(x) is None


def test_too_many_arguments_are_too_many() -> None:
    """Whatever the kind: Python says so."""
    with pytest.raises(TypeError, match="positional argument"):
        im2col.im2col(Foreign(SimpleNamespace(from_dlpack=np.from_dlpack)), 3, *range(40))


def test_the_page_runs() -> None:
    """Every example of docs/arrays.md gives what it prints."""
    for name in (*PACKAGES, "pandas"):
        require(name)
    page = str(Path(__file__).parents[1] / "docs/arrays.md")
    failed, tried = doctest.testfile(page, module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0
    assert tried > 10
