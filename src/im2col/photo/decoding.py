"""What goes wrong while an image file is decoded, said in one line."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import PhotoError, naming
from .libraries import pillow

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator


@contextmanager
def decoding(path: str | os.PathLike[str]) -> Iterator[None]:
    """Make a `PhotoError` that names the file of whatever a library raises.

    Raises
    ------
    PhotoError
        In the place of every error but those of this package, of memory and of imports.
    """
    pil = pillow()
    try:
        with naming("read_photo"):
            yield
    except (PhotoError, MemoryError, ImportError):
        raise
    except (pil.Image.DecompressionBombWarning, pil.Image.DecompressionBombError) as cause:
        raise _named(
            f"{path} has more than {pil.Image.MAX_IMAGE_PIXELS} pixels, where Pillow suspects a decompression bomb; if "
            "you trust the file, pass large=True (--large)"
        ) from cause
    except pil.UnidentifiedImageError as cause:
        raise _named(f"{path} is no image that Pillow can read; convert it to PNG, TIFF or JPEG first") from cause
    except Exception as cause:  # what decoders raise on a broken file depends on the format
        if isinstance(cause, OSError) and cause.errno is not None:
            raise _named(f"cannot read {str(path)!r}: {cause.strerror}; check the path and its permissions") from cause
        reason = str(cause) or type(cause).__name__
        raise _named(f"{path} cannot be decoded ({reason}); get a complete copy, or save it anew as PNG") from cause


def _named(message: str) -> PhotoError:
    """Return an error of `read_photo`, which others, too, read photographs as."""
    error = PhotoError(message)
    error.name_operation("read_photo")
    return error


@contextmanager
def quiet(*, large: bool) -> Iterator[None]:
    """Make Pillow's warning of a decompression bomb an error, or lift the limit; keep other warnings quiet."""
    image = pillow().Image
    limit = image.MAX_IMAGE_PIXELS
    loggers = [logging.getLogger(name) for name in ("tifffile", "PIL.TiffImagePlugin")]
    disabled = [logger.disabled for logger in loggers]
    with warnings.catch_warnings():
        # They are of metadata that is left out.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", image.DecompressionBombWarning)
        try:
            for logger in loggers:  # which would write to standard error what is an error here, too
                logger.disabled = True
            if large:
                image.MAX_IMAGE_PIXELS = None
            yield
        finally:
            image.MAX_IMAGE_PIXELS = limit
            for logger, before in zip(loggers, disabled, strict=True):
                logger.disabled = before
