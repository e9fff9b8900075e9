"""A photograph: rows of pixels, in memory or in a file, and what its file says beside them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import PhotoError, naming

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

COLOURS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""Pillow's word for the samples of a pixel, by their number."""
DEPTHS = MappingProxyType({"uint8": "", "uint16": ";16", "float16": ";F16", "float32": ";F32", "float64": ";F64"})
_WORDS = {"L": "grey", "LA": "grey with alpha", "RGB": "RGB", "RGBA": "RGB with alpha"}
_DEPTH_WORDS = {"": "", ";16": "16-bit ", ";F16": "float16 ", ";F32": "float32 ", ";F64": "float64 "}
MODES = MappingProxyType(
    {colour + depth: _DEPTH_WORDS[depth] + word for colour, word in _WORDS.items() for depth in _DEPTH_WORDS}
)
"""Each kind of photograph, in words."""


@dataclass(frozen=True)
class Metadata:
    """What a file says beside the pixels.

    Parameters
    ----------
    icc_profile : bytes, optional
        What the samples mean as colours.
    exif : bytes, optional
        Camera, date, place: a TIFF file without pixels, as JPEG files hold it, upright and without its thumbnail.
    xmp : bytes, optional
        Adobe's XML.
    dpi : (float, float), optional
        Pixels an inch, across and down.
    comment : bytes, optional
        Of a JPEG file.
    photoshop : bytes, optional
        Photoshop's resources, which hold the IPTC caption.
    chunks : tuple of (bytes, bytes)
        Names and data of a PNG file's chunks: gamma and the like, and texts.
    coding : mapping
        How the file was coded: for the name of its format, options of Pillow's ``save``.
    """

    icc_profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    comment: bytes | None = None
    photoshop: bytes | None = None
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    coding: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))


class Pixels(ABC):
    """What is known of a photograph before its rows: those in memory, those of a file, and those yet to be written."""

    metadata: Metadata
    notes: tuple[str, ...]

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns, and samples of a pixel: 1 or 3 colours, and alpha."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Of the samples."""

    @property
    def planes(self) -> int:
        """Samples of a pixel, alpha among them."""
        return self.shape[2]

    @property
    def colours(self) -> int:
        """Samples of a pixel without alpha: 1 for grey and 3 for RGB."""
        return 1 if self.planes < 3 else 3

    @property
    def maximum(self) -> int | None:
        """The greatest sample; None for floating point, which has no range to clip to."""
        return None if self.dtype.kind == "f" else int(np.iinfo(self.dtype).max)

    @property
    def mode(self) -> str:
        """The kind of image: L, LA, RGB or RGBA, followed by ;16, ;F16, ;F32 or ;F64 for more than 8 bits."""
        return COLOURS[self.planes] + DEPTHS[self.dtype.name]

    def __str__(self) -> str:
        height, width, _ = self.shape
        return f"{width} × {height} {MODES[self.mode]}"


class Rows(Pixels):
    """A photograph that gives its rows, from memory or from a file that is read as they are asked for."""

    @property
    def nbytes_open(self) -> int:
        """Bytes that are taken while rows are given, beside those that are given."""
        return 0

    @abstractmethod
    def pixels(self, rows: slice = slice(None)) -> NDArray[Any]:
        """Return rows (first to last, without a step), (n, W, C): alpha is the last sample; a view or a copy."""

    def look_back(self, rows: int) -> None:
        """Be ready to give again what is up to so many rows behind the last one that was given."""


class Blank(Pixels):
    """A photograph without its rows: one that will be written, or what a file says of those that it gives.

    Parameters
    ----------
    shape : (int, int, int)
    dtype : dtype
    metadata : Metadata
    notes : tuple of str
        As those of a `Photo`.
    """

    def __init__(
        self, shape: tuple[int, int, int], dtype: np.dtype[Any], metadata: Metadata, notes: tuple[str, ...] = ()
    ) -> None:
        self._shape, self._dtype, self.metadata, self.notes = shape, dtype, metadata, notes

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns, and samples of a pixel."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the samples."""
        return self._dtype


@dataclass(frozen=True, eq=False)
class Photo(Rows):
    """A photograph as arrays.

    Parameters
    ----------
    samples : ndarray, (H, W, C), uint8, uint16, float16, float32 or float64
        C is 1 for grey and 3 for RGB.
    alpha : ndarray, (H, W), of the same dtype, optional
        Opacity, which is not multiplied into the samples. The greatest integer is opaque, or 1.0.
    metadata : Metadata
        What travels along.
    notes : tuple of str
        What reading could not keep.
    """

    samples: NDArray[Any]
    alpha: NDArray[Any] | None = None
    metadata: Metadata = Metadata()
    notes: tuple[str, ...] = ()

    @naming("Photo")
    def __post_init__(self) -> None:
        shape, dtype = self.samples.shape, self.samples.dtype
        if len(shape) != 3 or 0 in shape or shape[2] not in {1, 3} or dtype.name not in DEPTHS or not dtype.isnative:
            raise PhotoError(
                f"samples must be (H, W, 1) or (H, W, 3) of one of {', '.join(DEPTHS)}; got {shape} of {dtype}"
            )
        if self.alpha is not None and (self.alpha.shape != shape[:2] or self.alpha.dtype != dtype):
            raise PhotoError(
                f"alpha must be {shape[:2]} of {dtype}, as the samples are; got {self.alpha.shape} of "
                f"{self.alpha.dtype}"
            )

    @classmethod
    def of(cls, pixels: NDArray[Any], metadata: Metadata, notes: tuple[str, ...]) -> Photo:
        """Return a photograph of pixels (H, W, C), whose second or fourth sample is alpha, as views."""
        colours = 1 if pixels.shape[2] < 3 else 3
        alpha = None if pixels.shape[2] == colours else pixels[:, :, -1]
        return cls(pixels[:, :, :colours], alpha, metadata, notes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns, and samples of a pixel."""
        height, width, colours = self.samples.shape
        return height, width, colours + (self.alpha is not None)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the samples."""
        return self.samples.dtype

    def pixels(self, rows: slice = slice(None)) -> NDArray[Any]:
        """Return rows with alpha as the last sample of each pixel, in C order."""
        samples = self.samples[rows]
        return np.ascontiguousarray(samples if self.alpha is None else np.dstack([samples, self.alpha[rows]]))
