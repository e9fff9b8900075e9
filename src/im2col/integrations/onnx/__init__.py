"""Operators of ONNX for ``onnx.reference.ReferenceEvaluator(model, new_ops=OPS)``.

The standard's own evaluator runs any model, and is written to be read: a convolution in it takes seconds where a layer
takes milliseconds, and some operators give other numbers than the standard says. `OPS` are its operators over windows
once more, at the speed of the library.
"""

from __future__ import annotations

from typing import Any

from ...errors import MissingExtraError
from ...importing import importing

__all__ = ["OPS"]

OPS: list[type]
"""A class for each operator; loaded, and onnx with it, when it is first asked for."""


def __getattr__(name: str) -> Any:
    """Load the classes, and keep them."""
    if name != "OPS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        with importing:
            from .evaluator import classes
    except ImportError as cause:
        raise MissingExtraError("this needs onnx; install it with pip install 'im2col[onnx]'") from cause
    return globals().setdefault(name, classes())
