"""The library itself, with its channels first or last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import im2col

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .problems import Problem


def prepare(problem: Problem, place: Literal["first", "last"]) -> Callable[[], NDArray[Any]]:
    """Call the public function with a place for the result."""
    p, layer = problem, problem.layer
    spatial = "DHW"[-len(layer.image) :]
    image, layout = (p.first, f"NC{spatial}") if place == "first" else (p.last, f"N{spatial}C")
    out = p.answer.astype(np.float32)
    if place == "last":
        out = np.ascontiguousarray(np.moveaxis(out, 1, -1))
    options: dict[str, Any] = {"layout": layout, "out": out, "threads": p.threads}
    if layer.is_whole:
        whole: Any = im2col.global_max_pool if layer.kind == "max" else im2col.global_average_pool
        return lambda: whole(image, **options)
    options |= {"kernel_size": layer.kernel, "stride": layer.stride, "padding": layer.padding}
    function: Any = im2col.max_pool if layer.kind == "max" else im2col.average_pool
    return lambda: function(image, **options)
