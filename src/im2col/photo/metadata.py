"""What image files say beside their pixels: found, turned upright, and handed on."""

from __future__ import annotations

import re
import struct
import zlib
from typing import TYPE_CHECKING, Any

from .libraries import pillow
from .photograph import Metadata

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from numpy.typing import NDArray
    from PIL.Image import Exif
    from PIL.ImageFile import ImageFile

_ORIENTATION, _EXIF, _GPS, _INTEROP = 274, 34665, 34853, 40965
_WIDTH, _HEIGHT = 40962, 40963
_DESCRIPTION = 270
_PROGRAMS = re.compile(r"\AImageJ=|\A\{?\"?shape\W|OME>\s*\Z")
"""Descriptions in which ImageJ, tifffile and OME's programs say how frames and channels lie in the file that was read:
of the file that is written they would believe it, too."""
_SHAPE = re.compile(r'\{"shape": [][\d, ]*\}|shape=[()\d, ]*')
"""Those that say nothing else."""
_DESCRIPTIVE = {*range(269, 273), 285, 305, 306, 315, 316, 33432, 18246, 18249, *range(40091, 40096), _EXIF, _GPS}
"""The tags of a TIFF file that describe the picture: title, camera, date, author, rating. The rest is of the file."""
_STRUCTURE = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, _ORIENTATION, 277, 278, 279, 280, 281, 282, 283, 284),
    *(286, 287, 288, 289, 290, 291, 292, 293, 296, 297, 300, 301, *range(317, 326), 330, 332),
    *(333, 334, 336, 337, 338, 339, 340, 341, 342, 347, *range(512, 522), 529, 530, 531, 532, 700, 33723, 34377, 34675),
    *(50838, 50839, 65000, 65001, 65420, 65421, 65426, 65427, 32995, 32996, 32997, 32998),
}
"""The tags that say how the pixels of one file lie in it, and those that have a place of their own in `Metadata`."""
_COLOUR_CHUNKS = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI")
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_SAMPLINGS = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0"}


def exif_of(image: ImageFile) -> Exif:
    """Return the EXIF of an open file, whatever its format; broken EXIF is like none."""
    pil = pillow()
    try:
        # Not the method of the PNG reader: it would decode the picture to look behind it.
        exif: Exif = pil.Image.Image.getexif(image)
    except Exception:  # what it raises depends on where it is broken
        exif = pil.Image.Exif()
    return exif


def tiff_exif(file: BinaryIO, offset: int, *, byte_order: str, big: bool) -> Exif:
    """Return the tags of a directory of a TIFF file, which Pillow may have no mode for."""
    exif: Exif = pillow().Image.Exif()
    exif.endian, exif.bigtiff = byte_order, big
    exif.load_from_fp(file, offset)
    return exif


def exif_of_tags(tags: Mapping[int, Any]) -> tuple[Exif, list[str]]:
    """Return tags of a TIFF file whose directories Pillow cannot read, and notes of those that are directories."""
    exif: Exif = pillow().Image.Exif()
    words = {_EXIF: "EXIF", _GPS: "GPS"}
    for tag, value in tags.items():
        if tag not in words:
            exif[tag] = value
    lost = [word for tag, word in words.items() if tag in tags]
    return exif, [f"{' and '.join(lost)} of a big-endian BigTIFF could not be read"] if lost else []


def orientation_of(exif: Exif) -> int:
    """Return how the picture must be turned: 1, which is not at all, to 8."""
    value = exif.get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return a view of a picture, turned upright from one of EXIF's eight orientations."""
    if orientation > 4:
        pixels = pixels.swapaxes(0, 1)
    down, across = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(orientation, (1, 1))
    return pixels[::down, ::across]


def upright(exif: Exif, *, tiff: bool) -> tuple[bytes | None, list[str]]:
    """Return EXIF as JPEG files hold it, of a picture that has been turned, and notes of what it cannot hold.

    The thumbnail stays behind: it shows the picture before.
    """
    pil = pillow()
    from PIL.TiffTags import lookup

    kept, lost = pil.Image.Exif(), []
    for tag, value in exif.items():
        if tag == _DESCRIPTION and _PROGRAMS.search(str(value)):
            if not _SHAPE.fullmatch(str(value)):
                lost.append(lookup(tag).name)
        elif tag in _DESCRIPTIVE or not (tiff or tag in _STRUCTURE):
            kept[tag] = directory_of(exif, tag) if tag in {_EXIF, _GPS} else _text_as_bytes(value)
        elif tag not in _STRUCTURE:
            lost.append(lookup(tag).name)
    notes = [f"the tags {', '.join(map(str, lost))} were left out"] if lost else []
    if not kept:
        return None, notes
    try:
        return kept.tobytes(), notes
    except Exception as cause:  # as above
        return None, [*notes, f"its EXIF was left out, because it is broken ({cause})"]


def directory_of(exif: Exif, tag: int) -> dict[int, Any]:
    """Return a directory of EXIF, with the one inside it, which is an offset into the old file."""
    entries = {key: _text_as_bytes(value) for key, value in exif.get_ifd(tag).items()}
    if _INTEROP in entries:
        entries[_INTEROP] = exif.get_ifd(_INTEROP)
    return entries


def _text_as_bytes(value: Any) -> Any:
    """Return text as the bytes that Pillow read: it would write a question mark for each that is not ASCII."""
    return value.encode("latin-1", "replace") if isinstance(value, str) and not value.isascii() else value


def exif_for(exif: bytes, width: int, height: int) -> Exif:
    """Return EXIF that says the size of the new picture where it said that of the old."""
    old: Exif = pillow().Image.Exif()
    old.load(exif)
    result: Exif = pillow().Image.Exif()
    for tag, value in old.items():
        result[tag] = directory_of(old, tag) if tag in {_EXIF, _GPS} else _text_as_bytes(value)
    for tag, size in ((_WIDTH, width), (_HEIGHT, height)):
        if tag in result.get(_EXIF, ()):
            result[_EXIF][tag] = size
    return result


def upright_xmp(xmp: bytes | str | None) -> bytes | None:
    """Return XMP, as the libraries have it, without the orientation; None where there is none."""
    if not xmp:
        return None
    xmp = xmp.encode() if isinstance(xmp, str) else bytes(xmp)
    for pattern in (rb'\s*tiff:Orientation="[0-9]"', rb"<tiff:Orientation>[0-9]</tiff:Orientation>"):
        xmp = re.sub(pattern, b"", xmp)
    return xmp


def metadata_of(image: ImageFile, file: BinaryIO, *, plain: bool) -> tuple[Metadata, list[str]]:
    """Return what a file that Pillow has opened says, and notes of what cannot travel along.

    Parameters
    ----------
    image : ImageFile
    file : binary file
        The same, from which the chunks of a PNG file are read.
    plain : bool
        Whether the photograph has the colours of the file, so that its ICC profile still fits.
    """
    info = image.info
    chunks = png_chunks(file) if image.format == "PNG" else []
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp")
    for name, data in chunks:
        if name == b"eXIf":  # behind the pixels, where Pillow finds it only after it has decoded them
            info.setdefault("exif", data)
        elif name == b"iTXt" and data.startswith(_XMP_KEYWORD + b"\0\0") and xmp is None:
            xmp = data.split(b"\0", 5)[-1]
    exif, notes = upright(exif_of(image), tiff=image.format == "TIFF")
    profile = info.get("icc_profile")
    if profile and not plain:
        notes.append(f"the ICC profile of {image.mode} was left out")
    dpi = info.get("dpi")
    metadata = Metadata(
        icc_profile=profile if plain else None,
        exif=exif,
        xmp=upright_xmp(xmp),
        dpi=resolution(*dpi) if dpi else None,
        comment=info.get("comment") if image.format in {"JPEG", "MPO"} else None,
        photoshop=_photoshop(image),
        chunks=tuple((name, data) for name, data in chunks if _travels(name, data)),
        coding=_coding(image, file),
    )
    return metadata, notes


def resolution(across: float, down: float) -> tuple[float, float] | None:
    """Return pixels an inch, or None where they are none that a file can hold."""
    both = float(across), float(down)
    return both if all(0 < value < 1 << 16 for value in both) else None


def _photoshop(image: ImageFile) -> bytes | None:
    """Return the segment of a JPEG file that holds Photoshop's resources."""
    for name, data in getattr(image, "applist", ()):
        if name == "APP13" and data.startswith(b"Photoshop 3.0\0"):
            return bytes(data)
    return None


def _coding(image: ImageFile, file: BinaryIO) -> dict[str, dict[str, Any]]:
    """Return how a file was coded, so that the same pixels are coded alike."""
    if image.format == "WEBP":
        return {"WEBP": {"lossless": True}} if _is_lossless_webp(file) else {}
    jpeg = _jpeg_coding(image) if image.format in {"JPEG", "MPO"} else {}
    return {"JPEG": jpeg} if jpeg else {}


def _is_lossless_webp(file: BinaryIO) -> bool:
    """Say whether a WebP file has a lossless picture: by its first chunk of pixels."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name in {b"VP8 ", b"VP8L"}:
            return bool(name == b"VP8L")
        file.seek(size + size % 2, 1)
    return False


def _jpeg_coding(image: ImageFile) -> dict[str, Any]:
    """Return the sampling, tables, progression and colour space of a JPEG file."""
    layers: list[tuple[int, int, int, int]] = getattr(image, "layer", [])
    if image.mode not in {"L", "RGB"} or len(layers) not in {1, 3}:
        return {}
    tables = [list(image.quantization[table]) for _, _, _, table in layers]  # type: ignore[attr-defined]  # of JPEG's own class
    while len(tables) > 1 and tables[-1] == tables[-2]:
        tables.pop()  # those that are left out are like the last
    options: dict[str, Any] = {"qtables": tables, "progressive": bool(image.info.get("progressive"))}
    if len(layers) == 3:
        (across, down), chroma = layers[0][1:3], {layer[1:3] for layer in layers[1:]}
        # Of other samplings, full resolution keeps all.
        options["subsampling"] = _SAMPLINGS.get((across, down), "4:4:4") if chroma == {(1, 1)} else "4:4:4"
        options["keep_rgb"] = bytes(layer[0] for layer in layers) == b"RGB"
    return options


# --- PNG


def png_chunks(file: BinaryIO) -> list[tuple[bytes, bytes]]:
    """Return the names and data of a PNG file's chunks but the pixels; a broken file has those before the break."""
    file.seek(8)
    found = []
    while len(head := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", head)
        if name == b"IDAT":
            file.seek(size + 4, 1)
            continue
        data = file.read(size)
        if name == b"IEND" or len(data) < size:
            break
        found.append((name, data))
        file.seek(4, 1)
    return found


def _travels(name: bytes, data: bytes) -> bool:
    """Say whether a chunk is handed on as it is: EXIF and XMP have places of their own."""
    aside = data.startswith((_XMP_KEYWORD, b"Raw profile type exif"))
    return name in _COLOUR_CHUNKS or (name in _TEXT_CHUNKS and not aside)


def described(metadata: Metadata, exif: Exif | None) -> Iterator[bytes]:
    """Yield the chunks of metadata, which stand between the header of a PNG file and its pixels."""
    if metadata.icc_profile:
        yield png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc_profile))
    if metadata.dpi:
        across, down = (round(value / 0.0254) for value in metadata.dpi)
        yield png_chunk(b"pHYs", struct.pack(">IIB", across, down, 1))
    for name, data in metadata.chunks:
        yield png_chunk(name, data)
    if exif is not None:
        yield png_chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    if metadata.xmp:
        yield png_chunk(b"iTXt", _XMP_KEYWORD + b"\0\0\0\0\0" + metadata.xmp)


def png_chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file: its size, name and data, and their checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def chunk_words(metadata: Metadata) -> str:
    """Return what the chunks hold, for a note."""
    names = {name.decode() if name in _COLOUR_CHUNKS else "text" for name, _ in metadata.chunks}
    return ", ".join(sorted(names))
