"""The contest of photographs: what it measures, and what it says of what is wrong, missing or slow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.ndimage
import tifffile
from bench.__main__ import main
from bench.contestants import WrongResultError
from bench.photographs import contest
from bench.photographs.jobs import Contestant, Job, complaint, make_kernel, script, write_photograph

from .kit.outcomes import require

if TYPE_CHECKING:
    from pathlib import Path

COPY = "import shutil, sys; shutil.copy(*sys.argv[1:])"


def job_of(folder: Path, channels: int = 3, ending: str = "tif", size: int = 3) -> Job:
    """Return a job whose photograph is written."""
    job = Job(folder / f"source.{ending}", folder / f"target.{ending}", 600, channels, make_kernel(size), 1)
    write_photograph(job.source, job.side, channels)
    return job


def copying(name: str, off: int) -> Contestant:
    """Return a contestant that filters nothing."""
    return Contestant(name, lambda: "1", lambda job: script(COPY, job.source, job.target), off=off)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("ending", ["tif", "png"])
def test_results_are_compared_with_whole_numbers(tmp_path: Path, channels: int, ending: str) -> None:
    """SciPy's are right, and what is off by one is not."""
    job = job_of(tmp_path, channels, ending)
    if ending == "png":
        from PIL import Image

        image = np.asarray(Image.open(job.source)).reshape(600, 600, -1)
    else:
        image = tifffile.imread(job.source).reshape(600, 600, -1)
    assert image.std(axis=(0, 1)).min() > 20
    weights = job.weights / job.weights.sum()
    planes = [scipy.ndimage.correlate(image[:, :, c].astype(float), weights, mode="nearest") for c in range(channels)]
    right = np.stack(planes, axis=2)

    def write(result: Any) -> None:
        samples = np.rint(result).astype(np.uint8)
        samples = samples[:, :, 0] if channels == 1 else samples
        if ending == "png":
            Image.fromarray(samples).save(job.target)
        else:
            tifffile.imwrite(job.target, samples)

    write(right)
    assert complaint(job, 0) is None
    right[-1, -1] += 1.5
    write(right)
    assert "in rows from 584" in str(complaint(job, 0))
    assert complaint(job, 2) is None
    write(right[:-1])
    assert "the shape" in str(complaint(job, 9))
    job.target.unlink()
    assert "no result that can be read" in str(complaint(job, 9))


def test_kernels_are_the_same_turned_around() -> None:
    """As programs differ in what they call a convolution; and no two passes make them."""
    for size in (3, 5, 15):
        kernel = make_kernel(size)
        np.testing.assert_array_equal(kernel, kernel[::-1, ::-1])
        assert np.linalg.matrix_rank(kernel) > 1


def test_what_is_wrong_is_no_time(tmp_path: Path) -> None:
    """It is an error that names the contestant and the job."""
    job = job_of(tmp_path)
    with pytest.raises(WrongResultError, match=r"\Aplanted: wrong result of 3×3, 600² RGB, tif: off by [\d.]+ in rows"):
        contest.measure(job, [copying("planted", 0)], 1, 60)


def test_what_fails_or_hangs_has_a_row(tmp_path: Path) -> None:
    """Of words instead of seconds; the others are measured."""
    found = [
        copying("copy", 255),
        Contestant("broken", lambda: "1", lambda _: script("raise SystemExit('no such luck')")),
        Contestant("slow", lambda: "1", lambda _: script("import time; time.sleep(60)")),
    ]
    rows = contest.measure(job_of(tmp_path), found, 1, 5)
    assert [row[1] for row in rows] == ["copy", "broken", "slow"]
    assert [row[2] for row in rows[1:]] == ["failed: no such luck", "> 5"]
    seconds, cpu, peak = map(float, rows[0][2:])
    assert 0 < cpu < 10
    assert seconds > 0
    assert 5 < peak < 100


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is installed, and what is not."""
    for name in ("llvmlite", "typer", "rich"):
        require(name)
    (ours,) = (c for c in contest._contestants() if c.name == "im2col filter")
    lost = Contestant("lost", lambda: None, lambda _: [])
    monkeypatch.setattr(contest, "_contestants", lambda: [ours, lost])
    assert main(["photographs", "--sides", "300", "--sizes", "3", "--runs", "1"]) == 0
    told = capsys.readouterr().out
    assert "lost: not installed" in told
    assert "3×3, 300² RGB, tif  im2col filter" in told
    with pytest.raises(SystemExit, match="no contestant matches 'none'"):
        main(["photographs", "--contestants", "none"])


def test_every_file_is_a_contestant() -> None:
    """Ours stands first; commands name the files, and versions are words or nothing."""
    found = contest._contestants()
    assert [c.name for c in found][:1] == ["im2col filter"]
    assert len({c.name for c in found}) == len(found) == 6
    for contestant in found:
        assert contestant.version() is None or contestant.version()
