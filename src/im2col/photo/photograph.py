"""A photograph as an array, and what its file says beside the pixels."""

from __future__ import annotations

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


@dataclass(frozen=True, eq=False)
class Photo:
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

    def pixels(self, rows: slice = slice(None)) -> NDArray[Any]:
        """Return rows with alpha as the last sample of each pixel, in C order."""
        samples = self.samples[rows]
        return np.ascontiguousarray(samples if self.alpha is None else np.dstack([samples, self.alpha[rows]]))

    @property
    def planes(self) -> int:
        """Samples of a pixel, alpha among them."""
        return int(self.samples.shape[2]) + (self.alpha is not None)

    @property
    def maximum(self) -> int | None:
        """The greatest sample; None for floating point, which has no range to clip to."""
        return None if self.samples.dtype.kind == "f" else int(np.iinfo(self.samples.dtype).max)

    @property
    def mode(self) -> str:
        """The kind of image: L, LA, RGB or RGBA, followed by ;16, ;F16, ;F32 or ;F64 for more than 8 bits."""
        return COLOURS[self.planes] + DEPTHS[self.samples.dtype.name]

    def __str__(self) -> str:
        height, width, _ = self.samples.shape
        return f"{width} × {height} {MODES[self.mode]}"
