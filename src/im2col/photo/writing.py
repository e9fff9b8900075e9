"""Photographs written to image files."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.host import require_memory
from ..engine.threads import resolve_threads
from ..errors import ArgumentError, FileError, PhotoError, named, naming
from ..files import ANYONE, STANDARD, check_writable, writing
from ..spec.arguments import integer
from .libraries import pillow
from .metadata import chunk_words, exif_for
from .photograph import MODES, Blank
from .png_writing import PngSink
from .sink import BESIDE
from .tiff_writing import TiffSink

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

    from numpy.typing import NDArray
    from PIL.Image import Exif

    from ..blocks.journal import Journal
    from .photograph import Metadata, Photo, Pixels
    from .sink import Sink


@dataclass(frozen=True)
class Format:
    """A format that is written.

    Parameters
    ----------
    name : str
        Pillow's.
    endings : mapping of str to tuple of str
        The endings that mean it, each with the kinds of photograph that it holds; see `Photo.mode`.
    holds : frozenset of str
        The fields of `Metadata` that it has a place for.
    longest : int
        The most pixels along a side.
    level : int
        Of compression, where nobody asks for another.
    by_rows : bool
        Whether it is written as rows come.
    """

    name: str
    endings: Mapping[str, tuple[str, ...]]
    holds: frozenset[str] = frozenset()
    longest: int = (1 << 31) - 1
    level: int = 0
    by_rows: bool = False

    @property
    def modes(self) -> set[str]:
        """The kinds of photograph that it holds, under one ending or another."""
        return {mode for modes in self.endings.values() for mode in modes}


_EIGHT = ("L", "LA", "RGB", "RGBA")
_SIXTEEN = tuple(mode + ";16" for mode in _EIGHT)
_PLAIN = ("L", "RGB")
_TRAVELLING = ("icc_profile", "exif", "xmp", "dpi")


def _format(name: str, endings: str, modes: tuple[str, ...], *holds: str, **options: Any) -> Format:
    return Format(name, dict.fromkeys(endings.split(), modes), frozenset(holds), **options)


FORMATS = (
    # PNG's level takes a third of the time of the usual 6, for files that are a tenth larger; longest is libpng's.
    _format("PNG", ".png", _EIGHT + _SIXTEEN, *_TRAVELLING, "chunks", longest=1_000_000, level=4, by_rows=True),
    _format("TIFF", ".tif .tiff", tuple(MODES), *_TRAVELLING, longest=(1 << 32) - 1, by_rows=True),
    _format("WEBP", ".webp", _EIGHT, "icc_profile", "exif", "xmp", longest=16383),
    _format("JPEG", ".jpg .jpeg .jpe .jfif", _PLAIN, *_TRAVELLING, "comment", "photoshop", longest=65500),
    _format("BMP", ".bmp", _PLAIN, "dpi"),
    Format("PPM", {".ppm": ("RGB",), ".pgm": ("L", "L;16"), ".pnm": ("L", "L;16", "RGB")}),
)
"""The formats that are written, and what each can hold. Pillow would convert some of the rest without a word."""
_FINE: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"JPEG": {"quality": 95, "subsampling": "4:4:4"}, "WEBP": {"quality": 95}}
)
"""How a photograph is coded whose file was of another format: with its colours in full resolution."""
_SINKS: Mapping[str, Callable[..., Sink]] = MappingProxyType({"PNG": PngSink, "TIFF": TiffSink})
_AT_ONCE = 1 << 22
"""Bytes of rows that are written at once."""
_SEGMENT = 65000
"""Bytes of EXIF, XMP, resources or a comment that a segment of a JPEG file holds, with its head."""


@named
def write_photo(
    photo: Photo,
    path: str | os.PathLike[str],
    *,
    force: bool = False,
    like: int = ANYONE,
    compression: int | None = None,
    threads: int | None = None,
) -> tuple[str, ...]:
    """Write an image file, whole or not at all.

    Parameters
    ----------
    photo : Photo
    path : path-like
        Its ending names the format: PNG, TIFF, WebP, JPEG, BMP or PPM. ``-`` is standard output, and PNG.
    force : bool
        Replace a file that exists.
    like : int
        The permissions of the file that the photograph comes from: who may not read that, may not read this.
    compression : int, optional
        The level of deflate, 0 (none) to 9 (the smallest files, and slow), of PNG and TIFF: 4 and 0 if left out.
    threads : int, optional
        Which compress; see `set_threads`. The file does not depend on it.

    Returns
    -------
    tuple of str
        What the format has no place for.

    Raises
    ------
    FileError
        If the file exists and `force` is false, or it cannot be written; then nothing is left of it.
    PhotoError
        If the format is unknown or cannot hold the photograph.
    ArgumentError
        If `compression` is no level, or the format has none.
    MemoryBudgetError
        If what the format's library needs would not fit the available memory.
    MissingExtraError
        If Pillow is not installed.
    """
    check_writable(path, force=force)
    height, width, planes = photo.shape
    form = format_for(path, photo.mode, (width, height))
    if form.by_rows:
        options: dict[str, Any] = {"force": force, "like": like, "compression": compression, "threads": threads}
        row = width * planes * photo.dtype.itemsize
        at_once = min(max(1, _AT_ONCE // row), height)
        require_memory(BESIDE * at_once * row, "scale it down first", "writing {} × {} pixels", width, height)
        with photo_sink(photo, path, **options) as (sink, notes):
            for top in range(0, height, at_once):
                sink.write(photo.pixels(slice(top, top + at_once)))
        return notes
    level_for(form, compression)
    metadata, exif, lost = _fitting(photo, form)
    if _narrowed(photo.mode, form) != photo.mode:
        lost.append(f"{form.name} holds 8 bits, to which the 16 of each sample were rounded")
        photo = _in_eight_bits(photo)
    # Pillow's own pixels, which have four bytes in colour.
    require_memory(4 * width * height, "scale it down first", "the copy of {} × {} pixels", width, height)
    with writing(path, force=force, like=like) as file:
        try:
            _save_with_pillow(photo, file, form, metadata, exif)
        except FileError:
            raise
        except (ValueError, RuntimeError) as cause:  # what encoders raise depends on the format
            raise PhotoError(f"cannot write {str(path)!r}: {cause}") from cause
    return tuple(f"{path}: {note}" for note in lost)


@contextmanager
def photo_sink(
    pixels: Pixels,
    path: str | os.PathLike[str],
    *,
    force: bool,
    like: int = ANYONE,
    compression: int | None = None,
    threads: int | None = None,
    journal: Journal | None = None,
) -> Iterator[tuple[Sink, tuple[str, ...]]]:
    """Open an image file that takes rows, whole or not at all.

    Parameters
    ----------
    pixels : Pixels
        What will be written.
    path, force, like, compression, threads
        As for `write_photo`; the format is one that is written by rows.
    journal : Journal, optional
        Whose blocks are rows: the sink goes on from there.

    Yields
    ------
    sink : Sink
    notes : tuple of str
        What the format has no place for.

    Raises
    ------
    FileError, PhotoError, ArgumentError, MissingExtraError
        As `write_photo`.
    """
    height, width, _ = pixels.shape
    form = format_for(path, pixels.mode, (width, height))
    level = level_for(form, compression)
    metadata, exif, lost = _fitting(pixels, form)
    pillow()
    part = None if journal is None else journal.part
    with naming("write_photo"), writing(path, force=force, like=like, part=part) as file:
        blank = Blank(pixels.shape, pixels.dtype, metadata)
        sink = _SINKS[form.name](file, blank, exif, level, resolve_threads(threads))
        if journal is not None and journal.done and not sink.go_on(journal.done, journal.state):
            raise FileError(f"{part} is not what the journal tells of; remove it, and the journal")
        yield sink, tuple(f"{path}: {note}" for note in lost)
        sink.finish()


def level_for(form: Format, compression: int | None) -> int:
    """Return the level of compression for a format.

    Raises
    ------
    ArgumentError
        If it is none, or the format has none.
    """
    if compression is None:
        return form.level
    if not form.by_rows:
        raise ArgumentError(f"compression is for PNG and TIFF, but {form.name} is written; leave it out")
    level = integer("compression", compression, minimum=0)
    if level > 9:
        raise ArgumentError(f"compression must be 0 (none) to 9 (the smallest files), got {level}")
    return level


def format_for(path: str | os.PathLike[str], mode: str, size: tuple[int, int]) -> Format:
    """Return the format that a path's ending means, or say why it cannot hold a photograph.

    Parameters
    ----------
    path : path-like
        Where to write.
    mode : str
        The photograph's; see `Photo.mode`.
    size : (int, int)
        Its width and height.

    Raises
    ------
    PhotoError
        If the ending means no format that is written here, or the format does not hold the photograph.
    """
    ending = ".png" if str(path) == STANDARD else Path(path).suffix.lower()
    form = next((form for form in FORMATS if ending in form.endings), None)
    fitting = [other for other in FORMATS if mode in other.modes and max(size) <= other.longest]
    if not fitting:
        raise PhotoError(
            f"{path}: no format holds {size[0]} × {size[1]} pixels of {MODES[mode]}; make the result smaller"
        )
    names = ", ".join(other.name for other in fitting)
    example = Path(path).with_suffix(next(end for end, modes in fitting[0].endings.items() if mode in modes))
    way_out = f"use one of {names}, as in {example}" if len(fitting) > 1 else f"use {names}, as in {example}"
    if form is None:
        raise PhotoError(f"the ending {ending!r} of {path} means no format that is written here; {way_out}")
    mode = _narrowed(mode, form)
    if mode not in form.modes:
        raise PhotoError(f"{path}: {form.name} cannot hold {MODES[mode]}; {way_out}")
    if mode not in form.endings[ending]:
        own = " or ".join(end for end, modes in form.endings.items() if mode in modes)
        raise PhotoError(f"{path}: a file that ends in {ending} does not hold {MODES[mode]}; use {own}")
    if max(size) > form.longest:
        raise PhotoError(
            f"{path}: {form.name} holds at most {form.longest} pixels along a side, but the result has {size[0]} × "
            f"{size[1]}; {way_out}"
        )
    return form


def _narrowed(mode: str, form: Format) -> str:
    """Return the kind of photograph that is written: of 8 bits, where the format holds no 16."""
    return mode.removesuffix(";16") if mode not in form.modes else mode


def _in_eight_bits(photo: Photo) -> Photo:
    """Return a photograph of 16 bits with the 8 that come closest."""

    def nearest(array: NDArray[Any]) -> NDArray[Any]:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)

    alpha = None if photo.alpha is None else nearest(photo.alpha)
    return replace(photo, samples=nearest(photo.samples), alpha=alpha)


def _fitting(photo: Pixels, form: Format) -> tuple[Metadata, Exif | None, list[str]]:
    """Return what of the metadata the format holds, and what not."""
    metadata = photo.metadata
    height, width, _ = photo.shape
    lost = []
    exif = None
    if metadata.exif and "exif" in form.holds:
        exif = exif_for(metadata.exif, width, height)
        if form.name == "JPEG" and len(exif.tobytes()) > _SEGMENT:
            exif = None
    if metadata.exif and exif is None:
        lost.append("EXIF")
    words = {"icc_profile": "the ICC profile", "xmp": "XMP", "dpi": "DPI", "comment": "the comment"}
    words |= {"photoshop": "Photoshop's resources (IPTC)", "chunks": chunk_words(metadata)}
    kept: dict[str, Any] = {}
    for name, word in words.items():
        value = getattr(metadata, name)
        too_long = form.name == "JPEG" and name in {"xmp", "comment", "photoshop"} and len(value or b"") > _SEGMENT
        if value and (name not in form.holds or too_long):
            lost.append(word)
            kept[name] = () if name == "chunks" else None
    return replace(metadata, **kept), exif, [f"{form.name} has no place for {', '.join(lost)}"] if lost else []


def _plain(photo: Photo) -> NDArray[Any]:
    """Return the pixels as encoders want them: (H, W), or (H, W, C)."""
    pixels = photo.pixels()
    return pixels[:, :, 0] if photo.planes == 1 else pixels


def _save_with_pillow(photo: Photo, file: BinaryIO, form: Format, metadata: Metadata, exif: Exif | None) -> None:
    image = pillow().Image.fromarray(_plain(photo))
    options: dict[str, Any] = {name: getattr(metadata, name) for name in form.holds & {"icc_profile", "xmp", "dpi"}}
    options |= metadata.coding.get(form.name) or _FINE.get(form.name, {})
    if form.name == "JPEG":
        options["comment"] = metadata.comment
        if metadata.photoshop:
            options["extra"] = b"\xff\xed" + (2 + len(metadata.photoshop)).to_bytes(2, "big") + metadata.photoshop
    if exif is not None:
        options["exif"] = exif.tobytes()
    image.save(file, form.name, **{name: value for name, value in options.items() if value is not None})
