"""Photographs as arrays: read from image files, and written to them."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.host import require_memory
from ..errors import MissingExtraError, PhotoError, named, naming
from ..files import check_target, replacing

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from types import ModuleType

    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

_GREY = ("1", "L", "LA", "La")
_SIXTEEN_BITS = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_COLOUR = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX")
_MODES = {
    "L": "grey",
    "LA": "grey with alpha",
    "I;16": "16-bit grey",
    "RGB": "RGB",
    "RGBA": "RGB with alpha",
}
_FORMATS = {
    "PNG": ("L", "LA", "I;16", "RGB", "RGBA"),
    "TIFF": ("L", "LA", "I;16", "RGB", "RGBA"),
    "WEBP": ("L", "LA", "RGB", "RGBA"),
    "JPEG": ("L", "RGB"),
    "BMP": ("L", "RGB"),
    "PPM": ("L", "RGB"),
}
"""What each format that we write can hold. Pillow would convert some of the rest without a word."""
_QUALITY = {"JPEG": {"quality": 95}, "WEBP": {"quality": 95}}


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph as arrays.

    Parameters
    ----------
    samples : ndarray, (H, W, C), uint8 or uint16
        C is 1 for grey and 3 for RGB.
    alpha : ndarray, (H, W), uint8, optional
        Opacity.
    icc_profile : bytes, optional
        What the samples mean as colours.
    notes : tuple of str
        What reading could not keep.
    """

    samples: NDArray[Any]
    alpha: NDArray[np.uint8] | None = None
    icc_profile: bytes | None = None
    notes: tuple[str, ...] = ()

    @naming("Photo")
    def __post_init__(self) -> None:
        shape, dtype = self.samples.shape, self.samples.dtype
        kinds = {np.dtype(np.uint8): (1, 3), np.dtype(np.uint16): (1,)}
        if len(shape) != 3 or 0 in shape or shape[2] not in kinds.get(dtype, ()):
            raise PhotoError(
                f"samples must be (H, W, 1) or (H, W, 3) of uint8, or (H, W, 1) of uint16; got {shape} of {dtype}"
            )
        if self.alpha is not None and (
            self.alpha.shape != shape[:2] or self.alpha.dtype != np.uint8 or dtype != np.uint8
        ):
            raise PhotoError(
                f"alpha must be {shape[:2]} of uint8 beside samples of uint8; got {self.alpha.shape} of "
                f"{self.alpha.dtype} beside {dtype}"
            )

    @property
    def mode(self) -> str:
        """Pillow's word for the kind of image: L, LA, I;16, RGB or RGBA."""
        if self.samples.dtype == np.uint16:
            return "I;16"
        return ("L" if self.samples.shape[2] == 1 else "RGB") + ("" if self.alpha is None else "A")

    def __str__(self) -> str:
        height, width, _ = self.samples.shape
        return f"{width} × {height} {_MODES[self.mode]}"


@named
def read_photo(path: str | os.PathLike[str], *, large: bool = False) -> Photo:
    """Read an image file, upright.

    Parameters
    ----------
    path : path-like
        Any format that Pillow reads; the first frame of several. The EXIF orientation is applied.
    large : bool
        Read an image of more than ``PIL.Image.MAX_IMAGE_PIXELS`` too, which could be a decompression bomb.

    Returns
    -------
    Photo
        8-bit grey or RGB, or 16-bit grey; alpha where the image has any transparency. Bilevel images become grey;
        palettes, CMYK, YCbCr, LAB and HSV become RGB. Pillow holds colour in 8 bits: `Photo.notes` says where more was
        lost.

    Raises
    ------
    PhotoError
        If the file cannot be read, is no image, is truncated, or has samples that are neither 8 nor 16 bits.
    MemoryBudgetError
        If the image would not fit the available memory.
    MissingExtraError
        If Pillow is not installed.

    Examples
    --------
    >>> from importlib.resources import files
    >>> photo = read_photo(files("im2col") / "data/chelsea.jpg")
    >>> print(photo)
    451 × 300 RGB
    """
    pil = pillow()
    try:
        with Path(path).open("rb") as file, _pixel_limit(pil, large=large), pil.Image.open(file) as image:
            return _decoded(image, path, pil)
    except (PhotoError, MemoryError):
        raise
    except (pil.Image.DecompressionBombWarning, pil.Image.DecompressionBombError) as cause:
        raise PhotoError(
            f"{path} has more than {pil.Image.MAX_IMAGE_PIXELS} pixels, where Pillow suspects a decompression bomb; if "
            "you trust the file, pass large=True (--large)"
        ) from cause
    except pil.UnidentifiedImageError as cause:
        raise PhotoError(f"{path} is no image that Pillow can read; convert it to PNG, TIFF or JPEG first") from cause
    except OSError as cause:
        if cause.errno is not None:
            raise PhotoError(
                f"cannot read {str(path)!r}: {cause.strerror}; check the path and its permissions"
            ) from cause
        raise _undecodable(path, cause) from cause
    except Exception as cause:  # what Pillow's decoders raise on a broken file depends on the format
        raise _undecodable(path, cause) from cause


def _undecodable(path: str | os.PathLike[str], cause: Exception) -> PhotoError:
    return PhotoError(f"{path} cannot be decoded ({cause}); get a complete copy, or save it anew as PNG")


def pillow() -> ModuleType:
    """Return the package PIL, its modules Image and ImageOps loaded, or raise `MissingExtraError`."""
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError as cause:
        raise MissingExtraError("this needs Pillow; install it with pip install 'im2col[cli]'") from cause
    return PIL


@contextmanager
def _pixel_limit(pil: ModuleType, *, large: bool) -> Iterator[None]:
    """Make Pillow's warning of a decompression bomb an error, or lift the limit; keep its other warnings quiet."""
    limit = pil.Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        # They are of metadata that we do not use.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", pil.Image.DecompressionBombWarning)
        try:
            if large:
                pil.Image.MAX_IMAGE_PIXELS = None
            yield
        finally:
            pil.Image.MAX_IMAGE_PIXELS = limit


def _decoded(image: ImageFile, path: str | os.PathLike[str], pil: ModuleType) -> Photo:
    width, height = image.size
    # The file's own samples, the converted ones, and the array.
    size = 3 * width * height * max(2, len(image.getbands()))
    require_memory(size, "scale it down first", "the image {} of {} × {} pixels", path, width, height)
    notes = tuple(f"{path}: {loss}" for loss in _losses(image))
    icc_profile = image.info.get("icc_profile") if image.mode in (*_GREY, *_SIXTEEN_BITS, *_COLOUR) else None
    pil.ImageOps.exif_transpose(image, in_place=True)
    if image.mode in _SIXTEEN_BITS:
        return Photo(_sixteen_bits(np.asarray(image), path)[:, :, None], None, icc_profile, notes)
    if image.mode == "F":
        raise PhotoError(
            f"{path} has floating-point samples, which have no range to clip to; convert it to 8 or 16 bits first, or "
            "use im2col.conv2d on the array"
        )
    colours = "L" if image.mode in _GREY else "RGB"
    mode = colours + "A" * image.has_transparency_data
    array = np.asarray(image if image.mode == mode else image.convert(mode))
    array = array.reshape(*array.shape[:2], len(mode))
    alpha = array[:, :, -1] if image.has_transparency_data else None
    return Photo(array[:, :, : len(colours)], alpha, icc_profile, notes)


def _losses(image: ImageFile) -> Iterator[str]:
    """Yield what of a file, opened but not yet loaded, a `Photo` cannot hold."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        yield f"the first of {frames} frames was read"
    if image.mode in _SIXTEEN_BITS:
        if image.has_transparency_data:
            yield "the transparent shade was dropped; Pillow holds no alpha beside 16-bit grey"
    elif image.tile and ";16" in str(image.tile[0][3]):
        yield "16-bit colour was read as 8-bit, which is all that Pillow holds"
    elif image.mode not in (*_GREY, *_COLOUR):
        yield f"{image.mode} was converted to RGB"


def _sixteen_bits(array: NDArray[Any], path: str | os.PathLike[str]) -> NDArray[np.uint16]:
    least, greatest = int(array.min()), int(array.max())
    if least < 0 or greatest > 65535:
        raise PhotoError(f"{path} has samples from {least} to {greatest} but 16 bits hold 0 to 65535; scale it first")
    return array.astype(np.uint16)


@named
def write_photo(photo: Photo, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Write an image file, whole or not at all.

    Parameters
    ----------
    photo : Photo
    path : path-like
        Its ending names the format: PNG, TIFF, WebP, JPEG, BMP or PPM.
    force : bool
        Replace a file that exists.

    Raises
    ------
    FileError
        If the file exists and `force` is false, or it cannot be written; then nothing is left of it.
    PhotoError
        If the format is unknown or cannot hold the photograph.
    MissingExtraError
        If Pillow is not installed.
    """
    check_target(path, force=force)
    pil = pillow()
    name = format_for(path, photo.mode)
    array = photo.samples if photo.alpha is None else np.dstack([photo.samples, photo.alpha])
    image = pil.Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    with replacing(path, force=force) as file:
        try:
            image.save(file, name, icc_profile=photo.icc_profile, **_QUALITY.get(name, {}))
        except ValueError as cause:
            raise PhotoError(f"cannot write {str(path)!r}: {cause}") from cause


def format_for(path: str | os.PathLike[str], mode: str) -> str:
    """Return Pillow's name of the format that a path's ending means, or say why it cannot hold a photograph.

    Parameters
    ----------
    path : path-like
        Where to write.
    mode : str
        The photograph's; see `Photo.mode`.

    Raises
    ------
    PhotoError
        If the ending means no format that is written here, or the format does not hold the mode.
    """
    ending = Path(path).suffix.lower()
    name = str(pillow().Image.registered_extensions().get(ending))
    fitting = [key for key, modes in _FORMATS.items() if mode in modes]
    way_out = f"use one of {', '.join(fitting)}, as in {Path(path).with_suffix('.png')}"
    if name not in _FORMATS:
        raise PhotoError(f"the ending {ending!r} of {path} means no format that is written here; {way_out}")
    if name not in fitting:
        raise PhotoError(f"{path}: {name} cannot hold {_MODES[mode]}; {way_out}")
    return name
