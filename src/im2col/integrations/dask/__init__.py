"""Convolutions, pools and patches of dask arrays, chunk by chunk, with the results of the whole.

A dask array goes in, a dask array comes out, and nothing is computed before somebody asks. Each chunk of the result is
made of the chunks of the image that its windows cover (`cuts`); a graph has a task for each, and one for each part of a
neighbour that it needs (`graph`).
"""

from __future__ import annotations

from typing import Any

from ...errors import MissingExtraError
from ...importing import importing

__all__ = ["average_pool", "conv", "conv_transpose", "map_tiles", "max_pool", "patches"]


def __getattr__(name: str) -> Any:
    """Load a function, and dask with it, when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        with importing:
            from . import functions, tiles
    except ImportError as cause:
        raise MissingExtraError("this needs dask; install it with pip install 'im2col[dask]'") from cause
    return globals().setdefault(name, getattr(tiles if name == "map_tiles" else functions, name))
