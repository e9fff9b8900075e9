"""The name before an error's message: the public function that it left first."""

from __future__ import annotations

import copy
import copyreg
import inspect
import io
import pickle
import traceback
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import im2col
from im2col import Geometry, GeometryError, Im2colError, errors
from im2col.errors import named, naming
from im2col.spec.arguments import integer

from .kit.outcomes import raises_exactly, require

if TYPE_CHECKING:
    from collections.abc import Callable

X, W = np.ones((1, 2, 5, 5)), np.ones((3, 2, 3, 3))
PUBLIC = [name for name in im2col.__all__ if isinstance(getattr(im2col, name), FunctionType)]
CLASSES = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, Im2colError)]
SCALES: dict[str, Any] = {"x_scale": 1, "w_scale": 1, "y_scale": 1}

REFUSED: dict[str, Callable[[], Any]] = {
    "average_pool": lambda: im2col.average_pool(X, 9),
    "average_pool_input_gradient": lambda: im2col.average_pool_input_gradient(X, (1, 2, 9, 9), 2),
    "blend_tiles": lambda: im2col.blend_tiles([]),
    "col2im": lambda: im2col.col2im([[1]], 3, 2),  # type: ignore[arg-type]
    "conv": lambda: im2col.conv(X, W, stride=0),
    "conv1d": lambda: im2col.conv1d([1, 2], [[1]]),
    "conv2d": lambda: im2col.conv2d(X, W, threads=0),
    "conv3d": lambda: im2col.conv3d("x", W),
    "conv_bias_gradient": lambda: im2col.conv_bias_gradient([1.0]),
    "conv_input_gradient": lambda: im2col.conv_input_gradient(X, W, (1, 2, 9, 9)),
    "conv_matrix": lambda: im2col.conv_matrix(W, (2, 5, 5), padding=-1),
    "conv_operator": lambda: im2col.conv_operator(W, (1, 2, 5, 5)),
    "conv_transpose": lambda: im2col.conv_transpose(X, W),
    "conv_weight_gradient": lambda: im2col.conv_weight_gradient(X, X, 3),
    "convolve_blocks": lambda: im2col.convolve_blocks(X, W, X),
    "cost": lambda: im2col.cost((1, 2, 5, 5), (3, 2, 3, 3), dtype="fish"),
    "global_average_pool": lambda: im2col.global_average_pool(X, layout="HW"),
    "global_lp_pool": lambda: im2col.global_lp_pool(X, p=0),
    "global_max_pool": lambda: im2col.global_max_pool(X * 1j),
    "illustrate": lambda: im2col.illustrate(X, W, chapter="fish"),
    "im2col": lambda: im2col.im2col(X, 9),
    "iter_tiles": lambda: im2col.iter_tiles(X, 9, overlap=9),
    "lp_pool": lambda: im2col.lp_pool(X, 2, p="fish"),  # type: ignore[arg-type]
    "max_pool": lambda: im2col.max_pool(X, 2, stride=0),
    "max_pool_input_gradient": lambda: im2col.max_pool_input_gradient(X, X, (1, 2, 9, 9)),
    "max_unpool": lambda: im2col.max_unpool(X, X > 0, (1, 2, 9, 9)),
    "output_shape": lambda: im2col.output_shape((5, 5), 9),
    "overlap_count": lambda: im2col.overlap_count((5, 5), 3, padding_mode="fish"),  # type: ignore[arg-type]
    "patches": lambda: im2col.patches(X, 3, padding=1, copy=False),
    "plan": lambda: im2col.plan((1, 2, 5, 5), W, algorithm="fish"),
    "plan_blocks": lambda: im2col.plan_blocks("x.npy", W),
    "plan_input_gradient": lambda: im2col.plan_input_gradient((1, 2, 5), W),
    "plan_quantized": lambda: im2col.plan_quantized((1, 2, 5, 5), W.astype(np.int8), x_dtype="f4", **SCALES),
    "plan_transpose": lambda: im2col.plan_transpose((1, 3, 5, 5), W, output_padding=1),
    "plan_weight_gradient": lambda: im2col.plan_weight_gradient((1, 2, 5, 5), 3, ()),
    "quantized_conv": lambda: im2col.quantized_conv(X, W, **SCALES),
    "set_threads": lambda: im2col.set_threads(0),
    "show_config": im2col.show_config,
    "weight_matrix": lambda: im2col.weight_matrix([1]),
    "window_geometry": lambda: im2col.window_geometry(5, 3),  # type: ignore[arg-type]
}
"""A call of each public function with something that it refuses."""


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_function_names_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, and only itself."""
    if name in {"conv_matrix", "conv_operator"}:
        require("scipy")
    if name == "clear_cache":
        assert hasattr(im2col.clear_cache, "__wrapped__"), "nothing that it does is refused"
        return
    monkeypatch.setenv("IM2COL_NUM_THREADS", "none" if name == "show_config" else "1")
    with pytest.raises(Im2colError) as caught:
        REFUSED[name]()
    message = str(caught.value)
    assert caught.value.operation == name
    assert caught.value.args == (message,)
    assert message.startswith(f"{name}: ")
    assert not message.removeprefix(f"{name}: ").startswith(tuple(f"{other}: " for other in PUBLIC))


def test_methods_name_themselves_or_what_made_the_object(tmp_path: Any) -> None:
    """A plan knows who made it; a picture is one of `illustrate`."""
    made = im2col.plan_transpose((1, 3, 5, 5), W, algorithm="reference")
    calls: list[tuple[Callable[[], Any], str]] = [
        (made.ir, "Plan.ir"),
        (made.assembly, "Plan.assembly"),
        (lambda: made(X), "plan_transpose"),
        (lambda: pickle.loads(pickle.dumps(made))(X), "plan_transpose"),  # noqa: S301 (our own)
        (lambda: im2col.plan_weight_gradient((1, 2, 5, 5), 3, 3)(X, X), "plan_weight_gradient"),
        (lambda: im2col.illustrate(X, W).save(tmp_path / "x.jpg"), "illustrate"),
        (lambda: im2col.illustrate(X, W).show(width=0), "show"),
        (lambda: Geometry((5,), (9,), (1,), ((0, 0),), (1,)), "Geometry"),
    ]
    for call, name in calls:
        with pytest.raises(Im2colError) as caught:
            call()
        assert caught.value.operation == name


@named
def outer(value: int, *, inner: bool = True) -> int:
    """Refuse all but 0."""
    if value and inner:
        return refuse(value)
    if value:
        raise GeometryError("too many")
    return value


@named
def refuse(value: int) -> int:
    """Refuse a value."""
    try:
        return 1 // 0
    except ZeroDivisionError as cause:
        raise GeometryError(f"no value such as {value}") from cause


def test_the_innermost_public_function_is_named() -> None:
    """What an error names, no other function names again; the error is the one that was raised."""
    with raises_exactly(GeometryError, "outer: too many"):
        outer(1, inner=False)
    with pytest.raises(GeometryError) as caught:
        outer(2)
    assert str(caught.value) == "refuse: no value such as 2"
    assert caught.value.message == "no value such as 2"
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[1:] == ["public", "outer", "public", "refuse"]


def test_a_named_function_is_itself() -> None:
    """Name, text and signature are those of the function; other errors and results pass."""
    assert (outer.__name__, outer.__doc__, outer.__module__) == ("outer", "Refuse all but 0.", __name__)
    assert str(inspect.signature(outer)) == "(value: 'int', *, inner: 'bool' = True) -> 'int'"
    assert outer(0) == 0
    with pytest.raises(TypeError, match=r"outer\(\) got an unexpected keyword argument 'fish'"):
        outer(0, fish=1)  # type: ignore[call-arg]


def test_a_block_names_what_nobody_has_named() -> None:
    """And nothing where it has no name to give, nor other errors."""
    with raises_exactly(GeometryError, "outer: too many"), naming("block"), naming(None):
        outer(1, inner=False)
    with raises_exactly(GeometryError, "block: stride must be at least 1, got 0"), naming("block"), naming(None):
        integer("stride", 0, minimum=1)
    with raises_exactly(KeyError, "'key'"), naming("block"):
        vars(errors)["key"]


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("operation", [None, "conv"])
def test_errors_travel(cls: type[Im2colError], operation: str | None) -> None:
    """A pickled or copied error says what it said, whoever it names."""
    error = cls("too many")
    with pytest.raises(cls), naming(operation):
        raise error
    expected = "conv: too many" if operation else "too many"
    pickled = pickle.loads(pickle.dumps(error))  # noqa: S301 (our own)
    for twin in (error, pickled, copy.copy(error), copy.deepcopy(error)):
        assert (type(twin), str(twin), twin.operation, twin.args) == (cls, expected, operation, (expected,))


@pytest.mark.wide
@pytest.mark.parametrize("cls", CLASSES)
def test_errors_travel_between_workers(cls: type[Im2colError]) -> None:
    """As distributed sends them, with tblib's ways to write errors down."""
    tblib = require("tblib.pickling_support")
    error = cls("too many")
    with pytest.raises(cls), naming("conv"):
        raise error
    error.__traceback__ = None
    sent = io.BytesIO()
    writer = pickle.Pickler(sent)
    writer.dispatch_table = copyreg.dispatch_table | {cls: tblib.pickle_exception}
    writer.dump(error)
    twin = pickle.loads(sent.getvalue())  # noqa: S301 (our own)
    assert (type(twin), str(twin), twin.operation) == (cls, "conv: too many", "conv")
