"""Photographs and image files: the way in and the way out."""

from __future__ import annotations

from .photograph import Photo
from .reading import read_photo
from .writing import write_photo

__all__ = ["Photo", "read_photo", "write_photo"]
