"""Convolutions, pools and patches of xarray's labelled arrays: named dimensions, coordinates at windows' centres.

A DataArray or a Dataset goes in, the same comes out. Windows slide along the dimensions that are named (`names`), all
others are batches (`arrays`), coordinates follow (`coordinates`), and dask arrays stay lazy (`functions`).
"""

from __future__ import annotations

from typing import Any

from ...errors import MissingExtraError
from ...importing import importing

__all__ = ["average_pool", "conv", "max_pool", "patches"]


def __getattr__(name: str) -> Any:
    """Load a function, and xarray with it, when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        with importing:
            from . import functions
    except ImportError as cause:
        raise MissingExtraError("this needs xarray; install it with pip install 'im2col[xarray]'") from cause
    return globals().setdefault(name, getattr(functions, name))
