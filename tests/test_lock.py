"""Two runs on one journal: the second one is told so, and the first one loses nothing."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import im2col
from im2col import FileError, convolve_blocks
from im2col.blocks.lock import Lock
from im2col.photo.filtering import filter_file

from .kit.outcomes import raises_exactly
from .kit.photographs import smooth, tiff
from .kit.processes import HANG_SECONDS, REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

X = np.random.default_rng(0).standard_normal((2, 57, 53)).astype(np.float32)
W = np.random.default_rng(1).standard_normal((3, 2, 5, 3)).astype(np.float32)
SMALL: dict[str, Any] = {"memory": 20_000, "threads": 1, "padding": "same"}

STARTS = """
import os, platform, sys, time
import im2col.blocks.journal as journals, im2col.photo.bands
from tests.test_lock import *
journals._SECONDS, im2col.photo.bands.BAND_SAMPLES = 0.0, 1
seen = []
def progress(done, total):
    seen.append(done)
    if len(seen) == 3:
        {before}
        print("begun", platform.node(), flush=True)
        sys.stdin.readline()
"""
"""A run that says when it has begun, and goes on when it is told to."""


@contextmanager
def another_process(call: str, before: str = "pass") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield a process in the middle of a run, and its name."""
    code = STARTS.format(before=before) + call
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, text=True, **pipes) as process:
        assert process.stdout is not None
        word, _, node = process.stdout.readline().strip().partition(" ")
        if word != "begun":
            pytest.fail(process.communicate(timeout=HANG_SECONDS)[1])
        yield process, f"process {process.pid} on {node}"
        process.kill()


def finish(process: subprocess.Popen[str]) -> None:
    """Let a process go on to its end, which must be a good one."""
    _, error = process.communicate("\n", timeout=HANG_SECONDS)
    assert process.returncode == 0, error


def blocks_of(folder: Path) -> tuple[Callable[[], Any], str, Path, bytes]:
    """Return a run in blocks, the same as code, what it writes, and what must be in that."""
    path, journal = folder / "y.npy", folder / "y.json"
    code = f"convolve_blocks(X, W, {str(path)!r}, journal={str(journal)!r}, progress=progress, **SMALL)"
    np.save(folder / "z.npy", im2col.conv(X, W, padding="same", chunked=True))
    expected = (folder / "z.npy").read_bytes()
    (folder / "z.npy").unlink()
    return lambda: convolve_blocks(X, W, path, journal=journal, **SMALL), code, path, expected


def photo_of(folder: Path) -> tuple[Callable[[], Any], str, Path, bytes]:
    """Return the same of a photograph."""
    source, path, journal = tiff(folder / "x.tif", smooth(np.uint8, 3), "rgb"), folder / "y.tif", folder / "y.json"
    code = f"filter_file({str(source)!r}, 'blur', {str(path)!r}, journal={str(journal)!r}, progress=progress)"
    filter_file(source, "blur", folder / "z.tif")
    expected = (folder / "z.tif").read_bytes()
    (folder / "z.tif").unlink()
    return lambda: filter_file(source, "blur", path, journal=journal), code, path, expected


RUNS = {"convolve_blocks": blocks_of, "filter_file": photo_of}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make bands of a photograph as high as the other process has them."""
    monkeypatch.setattr("im2col.photo.bands.BAND_SAMPLES", 1)


def refusal(name: str, journal: Path, holder: str) -> str:
    """Return what the second run is told."""
    return (
        f"{name}: the journal {str(journal)!r} is that of a run that still goes on, in {holder}; wait for its end, or "
        "name another journal"
    )


@pytest.mark.parametrize("name", RUNS)
def test_two_processes(name: str, tmp_path: Path) -> None:
    """The second is refused as long as the first lives, whatever it did; the first ends with the right file."""
    run, code, path, expected = RUNS[name](tmp_path)
    journal = tmp_path / "y.json"
    with another_process(code) as (process, holder):
        before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
        for _ in range(2):
            with raises_exactly(FileError, refusal(name, journal, holder)):
                run()
        assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before
        finish(process)
    assert path.read_bytes() == expected
    left = {each.name for each in tmp_path.iterdir()}
    assert left <= {"x.tif", path.name}


@pytest.mark.skipif(not hasattr(os, "kill"), reason="this system kills no process")
@pytest.mark.parametrize("name", RUNS)
def test_a_dead_process_holds_nothing(name: str, tmp_path: Path) -> None:
    """What it left is gone on with."""
    run, code, path, expected = RUNS[name](tmp_path)
    with another_process(code) as (process, _):
        process.kill()
        process.wait(HANG_SECONDS)
    assert (tmp_path / ".im2col-y.json.lock").exists()
    assert json.loads((tmp_path / "y.json").read_text())["done"] > 0
    run()
    assert path.read_bytes() == expected
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_holds_nothing(tmp_path: Path) -> None:
    """A child that lives longer than the run it was forked in; its end takes the lock from nobody, either."""
    run, code, path, expected = blocks_of(tmp_path)
    short = "child = os.fork()\n        if not child: os._exit(0)\n        os.waitpid(child, 0)"
    with another_process(code, short) as (process, holder):
        with raises_exactly(FileError, refusal("convolve_blocks", tmp_path / "y.json", holder)):
            run()
        process.kill()
    long = "\n        ".join(
        (
            "child = os.fork()",
            "if not child: time.sleep(1000)",
            f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child))",
        )
    )
    with another_process(code, long) as (process, _):
        child = int((tmp_path / "pid").read_text())
        try:
            process.kill()
            process.wait(HANG_SECONDS)
            os.kill(child, 0)  # it lives
            run()
        finally:
            os.kill(child, signal.SIGKILL)
    assert path.read_bytes() == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_that_ends_the_run(tmp_path: Path) -> None:
    """Its own end removes no file of its parent's, which goes on."""
    run, code, path, expected = blocks_of(tmp_path)
    before = "child = os.fork()\n        if not child: sys.exit()\n        os.waitpid(child, 0)"
    with another_process(code, before) as (process, holder):
        with raises_exactly(FileError, refusal("convolve_blocks", tmp_path / "y.json", holder)):
            run()
        finish(process)
    assert path.read_bytes() == expected


@pytest.mark.parametrize("name", RUNS)
def test_two_threads(name: str, tmp_path: Path) -> None:
    """Of one process, too; and one run within another."""
    run, code, path, expected = RUNS[name](tmp_path)
    told: list[str] = []

    def attempt() -> None:
        with pytest.raises(FileError) as caught:
            run()
        told.append(str(caught.value))

    def progress(*_: int) -> None:
        if not told:
            thread = threading.Thread(target=attempt)
            thread.start()
            thread.join()
            attempt()

    exec(code, globals() | {"progress": progress})  # noqa: S102 (the call of this test)
    assert len(told) == 2
    assert all(f"in process {os.getpid()} on " in each for each in told)
    assert path.read_bytes() == expected
    assert not list(tmp_path.glob(".*"))


def test_one_of_many_threads_has_it(tmp_path: Path) -> None:
    """Whoever comes at the same time: one at a time, and all in the end, though each removes the file."""
    path, inside, most, had = tmp_path / "a.lock", [0], [0], [0]
    guard = threading.Lock()

    def work() -> None:
        got = 0
        while got < 20:
            try:
                lock = Lock(path, "a.json")
            except FileError:
                continue
            with guard:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                had[0] += 1
            with guard:
                inside[0] -= 1
            lock.release()
            got += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most[0], had[0]) == (1, 80)
    assert not path.exists()


MANY = """
import sys
from pathlib import Path
from im2col import FileError
from im2col.blocks.lock import Lock
path, count = Path(sys.argv[1]), Path(sys.argv[2])
got = 0
while got < 50:
    try:
        lock = Lock(path, "a.json")
    except FileError:
        continue
    number = int(count.read_text())
    count.write_text(str(number + 1))
    lock.release()
    got += 1
"""


def test_one_of_many_processes_has_it(tmp_path: Path) -> None:
    """A number that several count up, which only locks keep right; each removes the file at the end of its turn."""
    count = tmp_path / "count"
    count.write_text("0")
    command = [sys.executable, "-c", MANY, str(tmp_path / "a.lock"), str(count)]
    processes = [subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in processes:
        _, error = process.communicate(timeout=HANG_SECONDS)
        assert process.returncode == 0, error
    assert count.read_text() == "150"


def test_where_no_lock_can_be(tmp_path: Path) -> None:
    """A folder of its name: the system's reason, and nothing is begun."""
    (tmp_path / ".im2col-y.json.lock").mkdir()
    run, _, path, _ = blocks_of(tmp_path)
    lock = tmp_path / ".im2col-y.json.lock"
    with raises_exactly(
        FileError,
        f"convolve_blocks: cannot write {str(lock)!r}: Is a directory; name a journal in another folder",
    ):
        run()
    assert [each.name for each in tmp_path.iterdir()] == [lock.name]
    lock.rmdir()
    run()
    assert path.exists()


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="this system opens links as what they lead to")
def test_a_link_in_its_place(tmp_path: Path) -> None:
    """Whoever can write in the folder could have any file of this user's emptied: it is not followed."""
    (tmp_path / "precious").write_text("all of it")
    lock = tmp_path / ".im2col-y.json.lock"
    lock.symlink_to("precious")
    run, _, path, _ = blocks_of(tmp_path)
    reason = os.strerror(errno.ELOOP)
    with raises_exactly(
        FileError, f"convolve_blocks: cannot write {str(lock)!r}: {reason}; name a journal in another folder"
    ):
        run()
    assert (tmp_path / "precious").read_text() == "all of it"
    assert not path.exists()
