"""Operators of ONNX for ``onnx.reference.ReferenceEvaluator(model, new_ops=OPS)``.

The standard's own evaluator runs any model, and is written to be read: a convolution in it takes seconds where a layer
takes milliseconds, and some operators give other numbers than the standard says. `OPS` are its operators over windows
once more, at the speed of the library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import MissingExtraError
from ...importing import importing

__all__ = ["OPS", "load"]

OPS: list[type]
"""A class for each operator; loaded, and onnx with it, when it is first asked for."""

if TYPE_CHECKING:
    from .network.network import load


def __getattr__(name: str) -> Any:
    """Load what is asked for, and onnx with it, and keep it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        with importing:
            from .evaluator import classes
            from .network.network import load
    except ImportError as cause:
        raise MissingExtraError("this needs onnx; install it with pip install 'im2col[onnx]'") from cause
    return globals().setdefault(name, classes() if name == "OPS" else load)
