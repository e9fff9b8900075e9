"""Convolutions, transposes and pools within JAX's programs: under `jax.jit`, `jax.grad` and `jax.vmap`, on the CPU.

JAX traces a program without numbers, and runs it later. So arguments are checked while it traces, from shapes and
dtypes (`functions`). What runs is a call of this library over the memory of JAX's own buffers (`calls`), and the
gradient of such a call is made of others (`convolutions`, `pools`).
"""

from __future__ import annotations

from typing import Any

from ...errors import MissingExtraError
from ...importing import importing

__all__ = ["average_pool", "conv", "conv_transpose", "max_pool"]


def __getattr__(name: str) -> Any:
    """Load a function, and JAX with it, when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        with importing:
            from . import functions
    except ImportError as cause:
        raise MissingExtraError("this needs JAX; install it with pip install 'im2col[jax]'") from cause
    return globals().setdefault(name, getattr(functions, name))
