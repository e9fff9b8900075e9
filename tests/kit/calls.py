"""Every public call with arguments that it takes, and how it is judged where some are replaced by nasty ones."""

from __future__ import annotations

import contextlib
import inspect
import io
import tempfile
import warnings
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import im2col
from im2col import Im2colError
from im2col.spec.problem import keywords

from .nasty import POOL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Call(NamedTuple):
    """A public call: what is called, what its errors begin with, and arguments that it takes."""

    function: Callable[..., Any]
    name: str
    good: Callable[[], dict[str, Any]]
    more: tuple[str, ...] = ()
    """Names that its ``**options`` take."""

    @property
    def parameters(self) -> list[str]:
        """Every argument by its name."""
        found = inspect.signature(self.function).parameters.values()
        named = [p.name for p in found if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        # With the letters of its axes a geometry leaves its name to whoever makes it; a user's function has errors of
        # its own.
        others = ("Geometry", "axes"), ("convolve_blocks", "progress")
        return [name for name in [*named, *self.more] if (self.name, name) not in others]


def _options(function: Callable[..., Any], *but: str) -> tuple[str, ...]:
    return tuple(sorted(keywords(function) - {"out", *but}))


X, W = np.arange(18.0).reshape(1, 2, 3, 3), np.ones((2, 2, 2, 2))
G = np.ones((1, 2, 2, 2))
PLACES = np.arange(8).reshape(1, 2, 2, 2)
BYTES: dict[str, Any] = {"x": X.astype(np.uint8), "w": W.astype(np.int8), "x_scale": 1, "w_scale": 1, "y_scale": 1}
SCALES = dict.fromkeys(("x_scale", "w_scale", "y_scale"), 1)
SHAPE = X.shape


@cache
def _made() -> dict[str, Any]:
    """Return the objects whose methods are called."""
    return {
        "plan": im2col.plan(SHAPE, W, algorithm="reference"),
        "plan_transpose": im2col.plan_transpose(G.shape, W, algorithm="reference"),
        "plan_weight_gradient": im2col.plan_weight_gradient(SHAPE, 2, 2, x_dtype=float),
        "illustrate": im2col.illustrate(X, W),
        "geometry": im2col.window_geometry((4, 4), 2),
        "folder": tempfile.mkdtemp(),
    }


def calls() -> dict[str, Call]:
    """Return every public function, and what can be called of what they return."""
    conv_options = _options(im2col.conv)
    cost_options: tuple[str, ...] = (
        "stride",
        "padding",
        "dilation",
        "groups",
        "layout",
        "dtype",
        "workspace_limit",
        "threads",
    )
    cost_options += ("name", "operation", "output_padding", "output_size")
    good: dict[str, tuple[Callable[[], dict[str, Any]], tuple[str, ...]]] = {
        "average_pool": (lambda: {"x": X, "kernel_size": 2}, ()),
        "average_pool_input_gradient": (
            lambda: {"grad": np.ones((1, 2, 1, 1)), "image_shape": SHAPE, "kernel_size": 2},
            (),
        ),
        "blend_tiles": (lambda: {"results": [(tile, tile.pixels) for tile in im2col.iter_tiles(X, 2)]}, ()),
        "clear_cache": (dict, ()),
        "col2im": (lambda: {"columns": np.ones((4, 4)), "image_shape": (3, 3), "kernel_size": 2}, ()),
        "conv": (lambda: {"x": X, "w": W}, ()),
        "conv1d": (lambda: {"x": X[0, 0, 0], "w": W[0, 0, 0]}, (*conv_options, "out")),
        "conv2d": (lambda: {"x": X[0, 0], "w": W[0, 0]}, (*conv_options, "out")),
        "conv3d": (lambda: {"x": X[0], "w": W[0]}, (*conv_options, "out")),
        "conv_bias_gradient": (lambda: {"grad": G}, ()),
        "conv_input_gradient": (lambda: {"grad": G, "w": W, "image_shape": SHAPE}, ()),
        "conv_matrix": (lambda: {"w": W, "image_shape": SHAPE[1:]}, ()),
        "conv_operator": (lambda: {"w": W, "image_shape": SHAPE[1:]}, ()),
        "conv_transpose": (lambda: {"x": G, "w": W}, ()),
        "conv_weight_gradient": (lambda: {"x": X, "grad": G, "kernel_size": 2}, ()),
        "convolve_blocks": (lambda: {"source": X, "w": W, "sink": np.empty((1, 2, 2, 2))}, conv_options),
        "cost": (lambda: {"x_shape": SHAPE, "w_shape": W.shape}, cost_options),
        "global_average_pool": (lambda: {"x": X}, ()),
        "global_lp_pool": (lambda: {"x": X}, ()),
        "global_max_pool": (lambda: {"x": X}, ()),
        "illustrate": (lambda: {"x": X, "w": W}, ()),
        "im2col": (lambda: {"x": X, "kernel_size": 2}, ()),
        "iter_tiles": (lambda: {"x": X, "size": 2}, ()),
        "lp_pool": (lambda: {"x": X, "kernel_size": 2}, ()),
        "max_pool": (lambda: {"x": X, "kernel_size": 2}, ()),
        "max_pool_input_gradient": (lambda: {"grad": G, "indices": PLACES, "image_shape": SHAPE}, ()),
        "max_unpool": (lambda: {"x": G, "indices": PLACES, "image_shape": SHAPE}, ()),
        "output_shape": (lambda: {"image_shape": SHAPE, "kernel_size": 2}, ()),
        "overlap_count": (lambda: {"image_shape": SHAPE, "kernel_size": 2}, ()),
        "patches": (lambda: {"x": X, "kernel_size": 2}, ()),
        "plan": (lambda: {"x_shape": SHAPE, "w": W}, conv_options),
        "plan_blocks": (lambda: {"source": X, "w": W}, conv_options),
        "plan_input_gradient": (lambda: {"image_shape": SHAPE, "w": W}, _options(im2col.conv_input_gradient)),
        "plan_quantized": (
            lambda: {"x_shape": SHAPE, "w": BYTES["w"], **SCALES},
            _options(im2col.quantized_conv, *SCALES),
        ),
        "plan_transpose": (lambda: {"x_shape": G.shape, "w": W}, _options(im2col.conv_transpose)),
        "plan_weight_gradient": (
            lambda: {"x_shape": SHAPE, "filters": 2, "kernel_size": 2},
            _options(im2col.conv_weight_gradient),
        ),
        "quantized_conv": (lambda: dict(BYTES), ()),
        "set_threads": (lambda: {"threads": 1}, ()),
        "show_config": (dict, ()),
        "weight_matrix": (lambda: {"w": W}, ()),
        "window_geometry": (lambda: {"spatial_shape": (4, 4), "kernel_size": 2}, ()),
    }
    found = {name: Call(getattr(im2col, name), name, *rest) for name, rest in good.items()}
    made, geometry = _made(), _made()["geometry"]
    picture, addresses = made["illustrate"], geometry.addresses()
    found |= {
        "Plan()": Call(made["plan"], "plan", lambda: {"x": X}),
        "TransposedPlan()": Call(made["plan_transpose"], "plan_transpose", lambda: {"x": G}),
        "WeightGradientPlan()": Call(made["plan_weight_gradient"], "plan_weight_gradient", lambda: {"x": X, "grad": G}),
        "Illustration.save": Call(
            picture.save, "illustrate", lambda: {"path": Path(made["folder"]) / "x.svg", "force": True}
        ),
        "Illustration.show": Call(picture.show, "show", lambda: {"file": io.StringIO(), "width": 80}),
        "Geometry": Call(
            im2col.Geometry,
            "Geometry",
            lambda: {name: getattr(geometry, name) for name in _FIELDS},
        ),
        "Geometry.addresses": Call(geometry.addresses, "Geometry.addresses", lambda: {"channels": 2}),
        "Addresses.address": Call(addresses.address, "Addresses.address", lambda: {"position": 0, "tap": 0}),
        "Addresses.matrix": Call(addresses.matrix, "Addresses.matrix", lambda: {"first": 0, "stop": 2}),
        "Geometry.pixel": Call(geometry.pixel, "Geometry.pixel", lambda: {"position": 0, "tap": 0}),
    }
    return found


_FIELDS = ("spatial_shape", "kernel_size", "stride", "padding", "dilation")
PUBLIC = [name for name in im2col.__all__ if isinstance(getattr(im2col, name), FunctionType)]


class Case(NamedTuple):
    """A call with some of its arguments replaced: by name, and number in the pool."""

    call: str
    replaced: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = (f"{name}={_said(POOL[number]())}" for name, number in self.replaced)
            return f"{self.call}(…, {', '.join(values)})"


def _said(value: object) -> str:
    try:
        return repr(value)[:200]
    except Exception:
        return f"<{type(value).__name__}>"


def draw_case(rng: np.random.Generator) -> Case:
    """Draw a call, and one to three of its arguments to replace."""
    takes = [(name, call.parameters) for name, call in calls().items() if call.parameters]
    name, parameters = takes[int(rng.integers(len(takes)))]
    count = min(len(parameters), int(rng.choice([1, 1, 1, 2, 3])))
    chosen = rng.choice(len(parameters), count, replace=False)
    return Case(name, tuple((parameters[int(i)], int(rng.integers(len(POOL)))) for i in chosen))


def every_case(name: str) -> Iterator[Case]:
    """Yield a call with every argument replaced by everything, one at a time."""
    for parameter in calls()[name].parameters:
        for number in range(len(POOL)):
            yield Case(name, ((parameter, number),))


def judge_case(case: Case) -> None:
    """Make the call: it returns, or raises an error of the package that names it."""
    call = calls()[case.call]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        arguments = call.good() | {name: POOL[number]() for name, number in case.replaced}
        try:
            call.function(**arguments)
        except Im2colError as error:
            message = str(error)
            assert message.startswith(f"{call.name}: "), message
            assert len(message) < 10_000, f"a message of {len(message)} characters"
            message.encode()
        finally:
            im2col.set_threads(None)
