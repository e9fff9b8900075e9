"""What travels along with a photograph: EXIF, ICC, XMP, resolution, texts, permissions."""

from __future__ import annotations

import io
import os
import stat
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from im2col.photo.filtering import filter_file
from im2col.photo.image_files import Photo, read_photo, write_photo

from .kit.photographs import (
    HEIGHT,
    KERNEL,
    SRGB,
    WIDTH,
    convolved,
    exif_block,
    png,
    smooth,
    write_with_everything,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("source", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("target", [".jpg", ".png", ".tif", ".webp", ".bmp", ".ppm"])
def test_metadata_travels_or_a_note_says_what_was_lost(tmp_path: Path, source: str, target: str) -> None:
    """From every format to every other."""
    path, out = write_with_everything(tmp_path / f"a{source}"), tmp_path / f"b{target}"
    note = " ".join(filter_file(path, "blur", out).notes)
    with Image.open(path) as before, Image.open(out) as after:
        exif = after.getexif()
        if target in {".jpg", ".png", ".tif", ".webp"}:
            assert (exif[271], exif[306], exif[33432]) == ("Canon", "2024:01:02 03:04:05", "me")
            camera, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
            assert camera[36867] == "2024:01:02 03:04:05"
            assert (camera[40962], camera[40963]) == (WIDTH, HEIGHT)
            assert float(camera[33434]) == pytest.approx(0.005)
            assert (place[1], tuple(map(float, place[2]))) == ("N", (52, 30, 0))
            assert after.info["icc_profile"] == SRGB
            xmp = after.info.get("xmp") or after.info["XML:com.adobe.xmp"]
            xmp = xmp.encode() if isinstance(xmp, str) else xmp
            assert b'xmp:Rating="4"' in xmp
            assert b"Orientation" not in xmp
        else:
            for word in ("EXIF", "ICC profile", "XMP"):
                assert word in note
        if "dpi" in before.info:
            assert "DPI" in note or tuple(map(round, after.info["dpi"])) == (240, 240)
    if target in {".jpg", ".png", ".tif"}:
        assert note == ""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("source", [".jpg", ".png", ".tif", "16.png", "16.tif"])
def test_photographs_come_out_upright(tmp_path: Path, source: str, orientation: int) -> None:
    """All eight orientations: the pixels are turned, and no file says that they must be turned again."""
    path = tmp_path / f"a{source}"
    samples = smooth("u1", 3)
    if source == "16.png":
        data = exif_block(orientation).tobytes().removeprefix(b"Exif\0\0")
        samples = smooth("u2", 3)
        png(path, 16, 2, samples, [(b"eXIf", data)])
    elif source == "16.tif":
        samples = smooth("u2", 3)
        tifffile.imwrite(path, samples, photometric="rgb", metadata=None, extratags=[(274, "H", 1, orientation, True)])
    else:
        Image.fromarray(samples).save(path, exif=exif_block(orientation))
        if source == ".jpg":
            with Image.open(path) as image:
                samples = np.asarray(image)
    upright = {
        1: samples,
        2: samples[:, ::-1],
        3: samples[::-1, ::-1],
        4: samples[::-1],
        5: samples.transpose(1, 0, 2),
        6: np.rot90(samples, -1),
        7: samples[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(samples),
    }[orientation]
    np.testing.assert_array_equal(read_photo(path).samples, upright)
    for ending in (".png", ".tif"):
        out = tmp_path / f"out{ending}"
        filter_file(path, KERNEL, out, force=True)
        np.testing.assert_array_equal(read_photo(out).samples, convolved(upright))
        if source[0] == ".":  # Pillow's view of 16 bits is of no use
            with Image.open(out) as image:
                assert image.getexif().get(274, 1) == 1


@pytest.mark.parametrize("target", [".jpg", ".png", ".tif", ".webp"])
def test_exif_of_a_camera(tmp_path: Path, target: str) -> None:
    """Names in UTF-8, the maker's own bytes, fractions without a value, a directory in a directory."""
    exif = exif_block()
    exif[315], exif[270] = "Zoë".encode(), b"\xe7\x8c\xab"
    camera = exif.get_ifd(0x8769)
    camera.update(
        {37500: b"maker\0\1\2" * 9, 36864: b"0230", 41486: IFDRational(0, 0), 42036: "Objektiv für Fernes".encode()}
    )
    camera[0xA005] = {1: "R98", 2: b"0100"}
    Image.fromarray(smooth("u1", 3)).save(tmp_path / "a.jpg", exif=exif.tobytes())
    assert "Zoë".encode() in (tmp_path / "a.jpg").read_bytes()
    filter_file(tmp_path / "a.jpg", "blur", tmp_path / f"b{target}")
    data = (tmp_path / f"b{target}").read_bytes()
    for text in ("Zoë", "猫", "Objektiv für Fernes"):
        assert text.encode() in data
    with Image.open(tmp_path / f"b{target}") as image:
        found = image.getexif()
        entries = found.get_ifd(0x8769)
        assert (entries[37500], entries[36864]) == (b"maker\0\1\2" * 9, b"0230")
        assert found.get_ifd(0xA005) == {1: "R98", 2: b"0100"}


def test_the_thumbnail_stays_behind(tmp_path: Path) -> None:
    """It would show the picture before."""
    thumbnail = io.BytesIO()
    Image.new("RGB", (8, 8)).save(thumbnail, "JPEG")
    ifd0 = struct.pack("<H", 1) + struct.pack("<HHI4s", 271, 2, 4, b"Me\0\0") + struct.pack("<I", 26)
    ifd1 = (
        struct.pack("<H", 2)
        + struct.pack("<HHII", 513, 4, 1, 56)
        + struct.pack("<HHII", 514, 4, 1, len(thumbnail.getvalue()))
    )
    block = b"Exif\0\0II*\0" + struct.pack("<I", 8) + ifd0 + ifd1 + struct.pack("<I", 0) + thumbnail.getvalue()
    Image.fromarray(smooth("u1", 3)).save(tmp_path / "a.jpg", exif=block)
    assert (tmp_path / "a.jpg").read_bytes().count(b"\xff\xd8") == 2
    filter_file(tmp_path / "a.jpg", "blur", tmp_path / "b.jpg")
    assert (tmp_path / "b.jpg").read_bytes().count(b"\xff\xd8") == 1
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.getexif()[271].rstrip("\0") == "Me"


def test_iptc_and_comments_of_jpeg(tmp_path: Path) -> None:
    """They stay in JPEG, and are named where there is no place for them."""
    resources = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x0c\x1c\x02x\0\x05hello\0\0"
    extra = b"\xff\xed" + struct.pack(">H", 2 + len(resources)) + resources
    Image.fromarray(smooth("u1", 3)).save(tmp_path / "a.jpg", extra=extra, comment=b"mine")
    assert filter_file(tmp_path / "a.jpg", "blur", tmp_path / "b.jpg").notes == ()
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.info["comment"] == b"mine"
        assert resources in dict(image.applist)["APP13"]  # type: ignore[attr-defined]  # of JPEG's own class
    notes = filter_file(tmp_path / "a.jpg", "blur", tmp_path / "b.png").notes
    assert notes == (f"{tmp_path / 'b.png'}: PNG has no place for the comment, Photoshop's resources (IPTC)",)


def test_tags_of_tiff_that_cannot_travel_are_named(tmp_path: Path) -> None:
    """Places of a map, say."""
    tags = [(33550, "d", 3, (1.0, 1.0, 0.0), True), (271, "s", 0, "Leica", True)]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, smooth("u2", 3), photometric="rgb", metadata=None, extratags=tags)
    notes = filter_file(path, "blur", tmp_path / "b.tif").notes
    assert len(notes) == 1
    assert notes[0].startswith(f"{path}: the tags ")
    with tifffile.TiffFile(tmp_path / "b.tif") as result:
        assert result.pages.first.tags["Make"].value == "Leica"


@pytest.mark.parametrize("kind", ["ome", "imagej", "shaped"])
@pytest.mark.parametrize("stride", [1, 2])
def test_descriptions_of_frames_stay_behind(tmp_path: Path, kind: str, stride: int) -> None:
    """Of a stack the first frame is filtered: programs that believe its description would look for the others."""
    frames = np.stack([smooth("u2", 1)[:, :, 0]] * 3)
    tifffile.imwrite(tmp_path / "a.tif", frames, photometric="minisblack", **{kind: True})
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.series[0].kind == kind
    notes = filter_file(tmp_path / "a.tif", "identity", tmp_path / "b.tif", stride=stride).notes
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert (file.is_ome, file.is_imagej, file.is_shaped) == (False, False, False)
        np.testing.assert_array_equal(file.asarray(), frames[0, ::stride, ::stride])
    left = [note for note in notes if note.endswith("the tags ImageDescription were left out")]
    assert len(left) == (kind != "shaped")  # which says no more than other tags do


def test_exif_that_is_broken_is_said(tmp_path: Path) -> None:
    """The photograph is read all the same."""
    Image.fromarray(smooth("u1", 3)).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\0\0garbage")
    done = filter_file(tmp_path / "a.jpg", "blur", tmp_path / "b.jpg")
    assert done.after == f"{WIDTH} × {HEIGHT} RGB"


def test_too_much_for_a_jpeg_file_is_left_out_with_a_note(tmp_path: Path) -> None:
    """A segment holds 64 KiB."""
    exif = Image.Exif()
    exif[271] = "x" * 70000
    Image.fromarray(smooth("u1", 3)).save(tmp_path / "a.png", exif=exif)
    notes = filter_file(tmp_path / "a.png", "blur", tmp_path / "b.jpg").notes
    assert notes == (f"{tmp_path / 'b.jpg'}: JPEG has no place for EXIF",)


def test_what_png_says_of_its_colours_stays(tmp_path: Path) -> None:
    """Gamma, chromaticities, texts: as they are to PNG, with a note to JPEG."""
    gamma = struct.pack(">I", 100000)
    primaries = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    chunks = [(b"gAMA", gamma), (b"cHRM", primaries), (b"tEXt", b"Title\0cat"), (b"sBIT", b"\5\5\5")]
    for depth in (8, 16):
        path = png(tmp_path / "a.png", depth, 2, smooth(f"u{depth // 8}", 3), chunks)
        assert filter_file(path, "blur", tmp_path / "b.png", force=True).notes == ()
        with Image.open(path) as before, Image.open(tmp_path / "b.png") as after:
            for key in ("gamma", "chromaticity", "Title"):
                assert after.info[key] == before.info[key]
    path = png(tmp_path / "a.png", 8, 2, smooth("u1", 3), chunks)
    notes = filter_file(path, "blur", tmp_path / "b.jpg").notes
    assert notes == (f"{tmp_path / 'b.jpg'}: JPEG has no place for cHRM, gAMA, text",)


def test_exif_of_png_as_imagemagick_writes_it(tmp_path: Path) -> None:
    """As text: it becomes the chunk of the standard, once, and turns the picture."""
    block = exif_block(6).tobytes()
    text = b"Raw profile type exif\0\nexif\n%8d\n%s\n" % (len(block), block.hex().encode())
    for depth in (8, 16):
        samples = smooth(f"u{depth // 8}", 3)
        path = png(tmp_path / "a.png", depth, 2, samples, [(b"tEXt", text), (b"tEXt", b"Raw profile type xmp\0kept")])
        filter_file(path, "identity", tmp_path / "b.png", force=True)
        np.testing.assert_array_equal(read_photo(tmp_path / "b.png").samples, np.rot90(samples, -1))
        data = (tmp_path / "b.png").read_bytes()
        assert (data.count(b"Raw profile type exif"), data.count(b"eXIf"), data.count(b"\0kept")) == (0, 1, 1)


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize(("source", "old", "new"), [(0o600, None, 0o600), (0o600, 0o644, 0o600), (0o644, 0o640, 0o640)])
@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif"])
def test_a_private_photograph_stays_private(
    tmp_path: Path, source: int, old: int | None, new: int, ending: str
) -> None:
    """Nobody may read the result who might not read the photograph, or the file that it replaces."""
    path, out = tmp_path / "a.png", tmp_path / f"b{ending}"
    write_photo(Photo(smooth("u1", 3)), path)
    path.chmod(source)
    if old is not None:
        out.touch()
        out.chmod(old)
    before = os.umask(0o022)
    try:
        filter_file(path, "blur", out, force=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE(out.stat().st_mode) == new
