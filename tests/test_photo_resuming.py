"""Filters of photographs that were interrupted go on: the file has the bytes of one that nobody interrupted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import im2col.photo.bands
from im2col import ArgumentError, FileError, Im2colError
from im2col.blocks import journal as journals
from im2col.photo import png_writing, resuming, tiff_writing
from im2col.photo.filtering import filter_file

from .kit.outcomes import raises_exactly
from .kit.photographs import smooth, tiff
from .kit.processes import HANG_SECONDS, REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

WAYS: dict[str, tuple[Any, int, str, dict[str, Any]]] = {
    "tiff": (np.uint8, 3, ".tif", {}),
    "deflate": (np.uint16, 1, ".tif", {"compression": 6}),
    "big": (np.uint8, 3, ".tif", {}),
    "big deflate": (np.float32, 3, ".tif", {"compression": 1}),
    "alpha": (np.uint8, 4, ".tif", {"padding_mode": "wrap"}),
    "png": (np.uint8, 3, ".png", {}),
    "png of 16 bits, alpha": (np.uint16, 4, ".png", {"compression": 9, "padding_mode": "reflect"}),
    "stored png, strides": (np.uint8, 1, ".png", {"compression": 0, "stride": 2}),
    "floats, strides": (np.float32, 1, ".tif", {"stride": (2, 3), "padding_mode": "symmetric"}),
}


class StopError(Exception):
    """What interrupts a run."""


def stop_after(calls: int) -> Any:
    """Return a progress that interrupts a run after so many bands."""
    left = [calls]

    def progress(*_: int) -> None:
        left[0] -= 1
        if not left[0]:
            raise StopError

    return progress


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make bands, strips and pieces of a few rows, which do not lie on one another."""
    monkeypatch.setattr(im2col.photo.bands, "BAND_SAMPLES", 1)
    monkeypatch.setattr(tiff_writing, "STRIP", 700)
    monkeypatch.setattr(png_writing, "PIECE", 500)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_interrupted_anywhere(way: str, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each band, one run after another, and in the middle of one's writing."""
    dtype, planes, ending, options = WAYS[way]
    monkeypatch.setattr(journals, "_SECONDS", seconds)
    if way.startswith("big"):
        monkeypatch.setattr(tiff_writing, "_CLASSIC", 1)
    source, target, journal = (
        tiff(tmp_path / "x.tif", smooth(dtype, planes), "rgb" if planes > 2 else "minisblack"),
        tmp_path / f"y{ending}",
        tmp_path / "y.json",
    )
    bands: list[int] = []
    seen: list[int]
    filter_file(source, "sharpen", tmp_path / f"z{ending}", progress=lambda done, _: bands.append(done), **options)
    expected = (tmp_path / f"z{ending}").read_bytes()
    for first in (1, 2, 5, len(bands) - 1):
        seen = []
        done = None
        for more in range(len(bands)):  # a run may need some bands again for rows that made no whole strip
            try:
                done = filter_file(
                    source, "sharpen", target, journal=journal, progress=stop_after(first + more), **options
                )
                break
            except StopError:
                assert not target.exists()
                seen.append(json.loads(journal.read_text())["done"])
        assert done is not None
        assert seen == sorted(seen)
        assert target.read_bytes() == expected
        assert any(f"from row {seen[-1]} of {bands[-1]}" in note for note in done.notes) is (seen[-1] > 0)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["x.tif", f"y{ending}", f"z{ending}"])
        target.unlink()


KILLED = """
import sys
import im2col.photo.bands, im2col.blocks.journal as journal
from im2col.photo import png_writing, resuming, tiff_writing
from im2col.photo.filtering import filter_file
im2col.photo.bands.BAND_SAMPLES, tiff_writing.STRIP, png_writing.PIECE, journal._SECONDS = 1, 700, 500, 0.0
source, target, kept, compression = sys.argv[1:]
def progress(done, total):
    if wait:
        print("begun", wait.pop(), flush=True)
wait = [1]
filter_file(source, "blur", target, journal=kept, compression=int(compression), threads=1, progress=progress)
"""


@pytest.mark.skipif(not hasattr(os, "kill"), reason="this system kills no process")
@pytest.mark.parametrize(("ending", "compression"), [(".tif", 0), (".tif", 6), (".png", 4)])
def test_killed_at_any_moment(ending: str, compression: int, tmp_path: Path) -> None:
    """A process that is killed again and again leaves nothing under the name; the last one, the right file."""
    picture = np.tile(smooth(np.uint8, 3), (40, 1, 1))
    source, target, journal = tiff(tmp_path / "x.tif", picture, "rgb"), tmp_path / f"y{ending}", tmp_path / "y.json"
    filter_file(source, "blur", tmp_path / f"z{ending}", compression=compression)
    expected = (tmp_path / f"z{ending}").read_bytes()
    rng, killed = np.random.default_rng(compression), 0
    command = [sys.executable, "-c", KILLED, str(source), str(target), str(journal), str(compression)]
    for delay in [*rng.uniform(0, 0.3, 6), HANG_SECONDS]:
        with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.kill()
                killed += 1
            error = process.stderr.read().decode()
        if process.returncode == 0:
            break
        assert process.returncode == -9, error
        if target.exists():  # it was killed at its very end, and its journal may be there still
            journal.unlink(missing_ok=True)
            break
    assert killed > 0
    assert target.read_bytes() == expected
    assert not journal.exists()


def interrupted(folder: Path, **options: Any) -> dict[str, Any]:
    """Leave what a run leaves that a user interrupted; return its arguments."""
    source = tiff(folder / "x.tif", smooth(np.uint8, 3), "rgb")
    given = {"source": source, "kernel": "blur", "target": folder / "y.tif", "journal": folder / "y.json", **options}
    with pytest.raises(StopError):
        filter_file(**given, progress=stop_after(4))
    return given


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"kernel": "gaussian"}, "weights"),
        ({"padding_mode": "reflect"}, "options"),
        ({"padding": 2, "stride": 2}, "sink, options, bands"),
        ({"signed": True}, "options"),
        ({"dilation": 2}, "options, bands"),
        ({"algorithm": "reference"}, "algorithm or CPU"),
        ({"compression": 6}, "compression"),
        ({"target": "z.tif"}, "sink"),
        ({"source": "z.tif"}, "source"),
    ],
)
def test_a_journal_of_another_run(change: dict[str, Any], name: str, tmp_path: Path) -> None:
    """It is refused, whatever differs; and what has been written stays for the run that it belongs to."""
    given = interrupted(tmp_path)
    (tmp_path / "z.tif").write_bytes(given["source"].read_bytes())
    other = given | {key: tmp_path / value if str(value).endswith(".tif") else value for key, value in change.items()}
    message = (
        f"filter_file: the journal {str(given['journal'])!r} is that of another run, with other {name}; call it as "
        "before, or remove the journal to begin anew"
    )
    with raises_exactly(ArgumentError, message):
        filter_file(**other, force=True)
    assert "from row" in filter_file(**given).notes[0]


@pytest.mark.parametrize("change", ["size", "time", "content"])
def test_a_photograph_that_has_changed(change: str, tmp_path: Path) -> None:
    """Its rows are not mixed with those of the one before: by its size, its time, or places of its content."""
    given = interrupted(tmp_path)
    source, times = given["source"], given["source"].stat()
    data = bytearray(source.read_bytes())
    if change == "content":
        data[-1] ^= 1
    source.write_bytes(data + b"\0" * (change == "size"))
    later = int(change == "time")
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns + later))
    with pytest.raises(ArgumentError, match="is that of another run, with other source; "):
        filter_file(**given)
    source.write_bytes(data)


def test_any_place_of_a_large_photograph_may_show_it(tmp_path: Path) -> None:
    """Places from the first bytes to the last are looked at, and all of a small file."""
    path = tmp_path / "x.bin"
    for size in (0, 1, 1000, 1 << 18, (1 << 18) + 1, 5 << 20):
        path.write_bytes(bytes(size))
        times = path.stat()
        before = resuming._identity_of(path)
        assert before == resuming._identity_of(path)
        for place in {0, size // 2 if size <= 1 << 18 else 0, size - 1} if size else ():
            data = bytearray(size)
            data[place] = 1
            path.write_bytes(data)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            assert before != resuming._identity_of(path)


def test_what_is_kept_and_has_changed(tmp_path: Path) -> None:
    """A part that is gone, or shorter than the journal says; a journal that lies: an error, and nothing is touched."""
    given = interrupted(tmp_path)
    journal = given["journal"]
    told = json.loads(journal.read_text())
    part = tmp_path / told["part"]
    precious = tmp_path / "precious.part"
    precious.write_bytes(b"precious")
    no_journal = f"filter_file: {str(journal)!r} is no journal of im2col; name another file"
    for wrong in ({"done": 38}, {"done": -1}, {"part": str(precious)}, {"part": None}, {"state": ["a"]}, {"state": 5}):
        journal.write_text(json.dumps(told | wrong))
        with raises_exactly(FileError, no_journal):
            filter_file(**given)
    journal.write_text(json.dumps(told | {"done": 0, "part": str(precious)}))
    with raises_exactly(FileError, no_journal):
        filter_file(**given)
    assert precious.read_bytes() == b"precious"
    not_it = f"write_photo: {part} is not what the journal tells of; remove it, and the journal"
    journal.write_text(json.dumps(told | {"done": 37}))
    with raises_exactly(FileError, not_it):
        filter_file(**given)
    journal.write_text(json.dumps(told))
    data = part.read_bytes()
    part.write_bytes(data[:200])
    with raises_exactly(FileError, not_it):
        filter_file(**given)
    part.unlink()
    gone = f"tells of {part}, which is not there any more; remove the journal to begin anew"
    with raises_exactly(FileError, f"filter_file: the journal {str(journal)!r} {gone}"):
        filter_file(**given)
    part.mkdir()
    with raises_exactly(
        FileError, f"write_photo: cannot read {str(part)!r}: Is a directory; remove it, and the journal"
    ):
        filter_file(**given)
    part.rmdir()
    part.write_bytes(data)
    filter_file(**given)


@pytest.mark.parametrize(("target", "compression"), [("y.tif", 6), ("y.png", 4)])
@pytest.mark.parametrize("state", [[], [1], [10**9, 1], [0, 1], [-1, 1], [1, 2, 3]])
def test_a_state_that_is_none(target: str, compression: int, state: list[int], tmp_path: Path) -> None:
    """Sizes of strips, or of a file, that cannot be those of so many rows are refused."""
    given = interrupted(tmp_path, target=tmp_path / target, compression=compression)
    told = json.loads(given["journal"].read_text())
    given["journal"].write_text(json.dumps(told | {"state": state}))
    with pytest.raises(FileError, match="is not what the journal tells of; remove it, and the journal"):
        filter_file(**given)
    assert not given["target"].exists()


def test_what_was_interrupted_before_its_first_row(tmp_path: Path) -> None:
    """Whatever is there then begins anew."""
    given = interrupted(tmp_path)
    told = json.loads(given["journal"].read_text())
    (tmp_path / told["part"]).write_bytes(b"II")
    given["journal"].write_text(json.dumps(told | {"done": 0, "state": []}))
    filter_file(**given)
    expected = tmp_path / "z.tif"
    filter_file(given["source"], "blur", expected)
    assert given["target"].read_bytes() == expected.read_bytes()
    assert not list(tmp_path.glob("*.part"))


def test_a_source_that_breaks_off(tmp_path: Path) -> None:
    """An error, and no file; a complete copy of it is another photograph."""
    source = tmp_path / "x.png"
    Image.fromarray(smooth(np.uint8, 3)).save(source)
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2])
    target, journal = tmp_path / "y.tif", tmp_path / "y.json"
    with pytest.raises(Im2colError, match="ends within its pixels"):
        filter_file(source, "blur", target, journal=journal)
    assert not target.exists()
    source.write_bytes(data)
    with pytest.raises(ArgumentError, match="with other source"):
        filter_file(source, "blur", target, journal=journal)


def test_runs_that_have_no_journal(tmp_path: Path) -> None:
    """Pipes, formats that are written as a whole, and what is no path."""
    source = tiff(tmp_path / "x.tif", smooth(np.uint8, 3), "rgb")
    journal = tmp_path / "y.json"
    cases: list[tuple[str, Any, str]] = [
        ("y.jpg", journal, "journal is for PNG and TIFF, but JPEG is written; leave it out"),
        ("y.tif", 5, "journal must be the path of a .json file, got 5; pass one"),
        ("-", journal, "journal is for files, to which another run can go back; name files instead of '-'"),
    ]
    for target, given, message in cases:
        with raises_exactly(ArgumentError, f"filter_file: {message}"):
            filter_file(source, "blur", target if target == "-" else tmp_path / target, journal=given)
    with raises_exactly(FileError, f"filter_file: the journal is a .json file, got {str(source)!r}; name one"):
        filter_file(source, "blur", tmp_path / "y.tif", journal=source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.tif"]
