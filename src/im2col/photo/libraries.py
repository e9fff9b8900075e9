"""The libraries that know image files: loaded on first use, with a clear error where one is missing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ..errors import MissingExtraError

if TYPE_CHECKING:
    from types import ModuleType


def pillow() -> ModuleType:
    """Return the package PIL, its module Image loaded, or raise `MissingExtraError`."""
    _load("PIL.Image", "Pillow")
    return _load("PIL", "Pillow")


def tifffile() -> ModuleType:
    """Return tifffile, which reads what Pillow misreads: more than 8 bits, planes, signed samples."""
    return _load("tifffile", "tifffile")


def imagecodecs() -> ModuleType:
    """Return imagecodecs, which keeps the 16 bits of a PNG file; tifffile needs it for compressed files."""
    return _load("imagecodecs", "imagecodecs")


def _load(module: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as cause:
        raise MissingExtraError(f"this needs {name}; install it with pip install 'im2col[cli]'") from cause
