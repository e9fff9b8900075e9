"""Object code kept between processes: where, for whom, and what happens when something is wrong with it."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest

from im2col.engine import cache, compiler, gather, gather_kernels
from im2col.engine.target import host

from .kit.outcomes import require

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY, DATA = "0123abcd", b"\x7fELF" + bytes(range(256)) * 5
POSIX = pytest.mark.skipif(os.name != "posix", reason="owners and modes are POSIX")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let the cache be an empty folder of the test; return where it will be made."""
    monkeypatch.setenv("IM2COL_CACHE_DIR", str(tmp_path / "base"))
    return tmp_path / "base" / "im2col"


@pytest.fixture
def kept(home: Path) -> Path:
    """Return the file of a kernel that is kept."""
    cache.write(KEY, DATA)
    assert cache.read(KEY) == DATA
    return home / f"{KEY}.kernel"


# Where


def test_the_folder_that_is_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Our own variable first, then the desktop's, then the home folder; an empty variable is none."""
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("IM2COL_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    assert cache.folder() == tmp_path / "IM2COL_CACHE_DIR" / "im2col"
    monkeypatch.setenv("IM2COL_CACHE_DIR", "")
    assert cache.folder() == tmp_path / "XDG_CACHE_HOME" / "im2col"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.folder() == tmp_path / "HOME" / ".cache" / "im2col"


@POSIX
def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no home folder at all, nothing is kept and nothing fails."""

    def nobody(_uid: int) -> None:
        raise KeyError

    for name in ("IM2COL_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    cache.write(KEY, DATA)
    assert (cache.read(KEY), cache.count(), cache.clear()) == (None, 0, 0)


@POSIX
def test_folder_and_files_are_private(home: Path, kept: Path) -> None:
    """The folder has mode 0700 and its files 0600, whatever the umask; parents are made as usual."""
    assert (home.stat().st_mode & 0o777, kept.stat().st_mode & 0o777) == (0o700, 0o600)
    kept.unlink()
    home.rmdir()
    previous = os.umask(0)
    try:
        cache.write(KEY, DATA)
    finally:
        os.umask(previous)
    assert (home.stat().st_mode & 0o777, kept.stat().st_mode & 0o777) == (0o700, 0o600)
    assert [path.name for path in home.iterdir()] == [f"{KEY}.kernel"]


def test_count_and_clear(home: Path) -> None:
    """Kernels are counted and removed; other files stay, and an empty or missing folder holds none."""
    assert (cache.count(), cache.clear()) == (0, 0)
    for i in range(3):
        cache.write(f"key{i}", DATA)
    (home / "notes.txt").write_text("mine")
    assert cache.count() == 3
    assert cache.clear() == 3
    assert [path.name for path in home.iterdir()] == ["notes.txt"]
    assert (cache.count(), cache.clear(), cache.read("key0")) == (0, 0, None)


def test_what_cannot_be_removed_is_not_counted(kept: Path) -> None:
    """A folder with a kernel's name is no kernel that was removed."""
    kept.with_name("folder.kernel").mkdir()
    assert cache.clear() == 1
    assert not kept.exists()


def test_a_key_is_overwritten(kept: Path) -> None:
    """The last content wins, as a whole."""
    cache.write(KEY, b"")
    assert cache.read(KEY) == b""
    assert cache.read("another") is None
    assert kept.read_bytes() == hashlib.sha256(KEY.encode()).digest()


# For whom


@POSIX
@pytest.mark.parametrize("mode", [0o755, 0o701, 0o770, 0o720, 0o704])
def test_a_folder_that_others_may_touch_is_refused(home: Path, kept: Path, mode: int) -> None:
    """Nothing is read from it, and nothing is written to it."""
    home.chmod(mode)
    assert cache.read(KEY) is None
    cache.write("new", DATA)
    assert list(home.iterdir()) == [kept]
    home.chmod(0o700)
    assert cache.read(KEY) == DATA


@POSIX
@pytest.mark.parametrize("mode", [0o660, 0o604, 0o601, 0o620])
def test_a_file_that_others_may_touch_is_refused(kept: Path, mode: int) -> None:
    """Nothing is read from it, until it is written anew."""
    kept.chmod(mode)
    assert cache.read(KEY) is None
    cache.write(KEY, DATA)
    assert cache.read(KEY) == DATA
    assert kept.stat().st_mode & 0o777 == 0o600


@POSIX
def test_another_users_folder_is_refused(monkeypatch: pytest.MonkeyPatch, home: Path, kept: Path) -> None:
    """Whoever owns the folder could have put anything into it."""
    somebody = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: somebody)
    assert cache.read(KEY) is None
    cache.write("new", DATA)
    assert list(home.iterdir()) == [kept]


@POSIX
@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_root_has_given_away_is_refused(home: Path, kept: Path, what: str) -> None:
    """The owner of the file counts too, and root is no exception."""
    if os.getuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(home if what == "folder" else kept, 12345, -1)
    assert cache.read(KEY) is None


@POSIX
@pytest.mark.parametrize("what", ["folder", "file"])
def test_symbolic_links_are_refused(home: Path, kept: Path, what: str) -> None:
    """A link may point to what somebody else can change."""
    path = home if what == "folder" else kept
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert cache.read(KEY) is None
    cache.write(KEY, DATA)
    if what == "folder":
        assert cache.read(KEY) is None
    else:  # the link is replaced, and what it pointed to stays
        assert cache.read(KEY) == DATA
        assert not kept.is_symlink()
        assert elsewhere.exists()


@POSIX
def test_a_folder_in_place_of_a_file_is_refused(kept: Path) -> None:
    """Only regular files are read, and writing does not fail either; no temporary file stays."""
    kept.unlink()
    kept.mkdir(mode=0o700)
    (kept / "inside").write_text("")
    assert cache.read(KEY) is None
    cache.write(KEY, DATA)
    assert cache.read(KEY) is None
    assert list(kept.parent.iterdir()) == [kept]


# What may go wrong

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "shorter than a digest": lambda content: content[:20],
    "a digest alone": lambda content: content[:32],
    "truncated": lambda content: content[:-1],
    "longer": lambda content: content + b"\0",
    "a byte of the digest": lambda content: bytes([content[0] ^ 1]) + content[1:],
    "a byte of the code": lambda content: content[:-9] + bytes([content[-9] ^ 128]) + content[-8:],
    "zeros": lambda content: bytes(len(content)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_not_used(kept: Path, damage: str) -> None:
    """Whatever happened to a file, it is as good as missing."""
    kept.write_bytes(DAMAGES[damage](kept.read_bytes()))
    assert cache.read(KEY) is None
    cache.write(KEY, DATA)
    assert cache.read(KEY) == DATA


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_kernels_are_compiled_again(home: Path, damage: str) -> None:
    """A kernel in a damaged file is compiled anew, gives the right result, and repairs the file."""
    require("llvmlite")
    kernel, target = gather_kernels.short_runs(3), host()
    code = compiler.object_code(kernel, target)
    (path,) = home.glob("*.kernel")
    whole = path.read_bytes()
    path.write_bytes(DAMAGES[damage](whole))
    assert compiler.object_code(kernel, target) == code
    assert path.read_bytes() == whole


def full(*_: Any, **__: Any) -> Any:
    """Fail like a system call on a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_only(*_: Any, **__: Any) -> Any:
    """Fail like a system call on a disk that is mounted read-only."""
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_a_full_disk_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, kept: Path) -> None:
    """Where the data does not fit, the temporary file is removed and what was there before stays."""
    fdopen = os.fdopen

    def with_a_full_disk(handle: int, mode: str) -> Any:
        file = fdopen(handle, mode, buffering=0)

        class Full:
            def __enter__(self) -> Self:
                return self

            def __exit__(self, *_: object) -> None:
                file.close()

            def write(self, data: bytes) -> None:
                file.write(data[:100])
                full()

        return Full()

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", with_a_full_disk)
        cache.write("new", DATA)
        cache.write(KEY, b"other")
    assert list(kept.parent.iterdir()) == [kept]
    assert (cache.read("new"), cache.read(KEY)) == (None, DATA)


@pytest.mark.parametrize("failing", ["pathlib.Path.replace", "tempfile.mkstemp", "pathlib.Path.mkdir"])
@pytest.mark.parametrize("fault", [full, read_only])
def test_writing_never_fails(monkeypatch: pytest.MonkeyPatch, kept: Path, failing: str, fault: Any) -> None:
    """Whichever system call fails, there is no error and no temporary file."""
    with monkeypatch.context() as patch:
        patch.setattr(failing, fault)
        cache.write("new", DATA)
    assert list(kept.parent.iterdir()) == [kept]


def test_reading_never_fails(monkeypatch: pytest.MonkeyPatch, kept: Path) -> None:
    """A file that cannot be opened is as good as missing."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", read_only)
        assert cache.read(KEY) is None
    assert cache.read(KEY) == DATA
    assert kept.exists()


def test_a_temporary_file_that_cannot_be_removed(monkeypatch: pytest.MonkeyPatch, kept: Path) -> None:
    """Even that is no error."""
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", full)
        patch.setattr("pathlib.Path.unlink", read_only)
        cache.write("new", DATA)
    assert cache.count() == 1
    assert kept.exists()


@POSIX
def test_a_read_only_folder(home: Path, kept: Path) -> None:
    """What is there is read; nothing is written, unless by root, whom no mode stops."""
    home.chmod(0o500)
    assert cache.read(KEY) == DATA
    cache.write("new", DATA)
    assert cache.read("new") == (DATA if os.getuid() == 0 else None)
    home.chmod(0o700)
    assert kept.exists()


@pytest.mark.parametrize("where", ["base", "base/im2col"])
def test_a_file_in_the_way(tmp_path: Path, where: str) -> None:
    """A path that runs through a file, or ends at one, holds nothing and is left alone."""
    path = tmp_path / where
    path.parent.mkdir(exist_ok=True)
    path.write_text("in the way")
    cache.write(KEY, DATA)
    assert (cache.read(KEY), cache.count(), cache.clear()) == (None, 0, 0)
    assert path.read_text() == "in the way"


@pytest.mark.parametrize("where", ["file", "missing", "others"])
def test_kernels_work_without_a_cache(monkeypatch: pytest.MonkeyPatch, home: Path, where: str) -> None:
    """Where nothing can be kept, kernels are compiled in memory."""
    require("llvmlite")
    if where == "file":
        home.parent.write_text("")
    elif where == "others":
        home.mkdir(parents=True)
        home.chmod(0o755)
    else:
        monkeypatch.setattr(tempfile, "mkstemp", full)
    for threshold in ("_WORTH_A_CALL", "_WORTH_LOADING"):
        monkeypatch.setattr(gather, threshold, 1)
    compiler._reset()
    src, dst = np.arange(700, dtype=np.uint8).reshape(100, 7)[:, :5], np.zeros((100, 5), np.uint8)
    gather.copy(dst, src, 1)
    np.testing.assert_array_equal(dst, src)
    assert compiler.loaded(gather_kernels.short_runs(5)) is not None
    assert compiler.failure() is None
    assert cache.count() == 0


# Many at once


FIGHT = """
import sys
from im2col.engine import cache

mine, payloads = int(sys.argv[1]), [bytes([i]) * (1 + 9_000 * i) for i in range(4)]
for _ in range(60):
    cache.write("key", payloads[mine])
    assert cache.read("key") in payloads
"""


def test_processes_write_and_read_at_once(home: Path) -> None:
    """Several processes that write and read one key see whole contents only, and leave one file."""
    processes = [subprocess.Popen([sys.executable, "-c", FIGHT, str(i)]) for i in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert [path.name for path in home.iterdir()] == ["key.kernel"]
