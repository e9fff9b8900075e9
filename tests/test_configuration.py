"""`show_config` and `clear_cache`."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from im2col import __version__, clear_cache, set_threads, show_config
from im2col.engine import cache, compiler, target
from im2col.errors import ArgumentError

from .kit.outcomes import raises_exactly, require

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {
    *("versions", "algorithms", "engine", "cpus", "threads", "available_memory", "cache_folder", "cache_usable"),
    "cached_kernels",
    "target",
}


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let the cache be an empty folder of the test, and the engine know of no failure."""
    monkeypatch.setenv("IM2COL_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("IM2COL_NUM_THREADS", raising=False)
    return tmp_path / "im2col"


@pytest.fixture
def forgotten() -> Any:
    """Start with a host that has not been asked yet, and leave no made-up one behind."""
    target.host.cache_clear()
    yield
    target.host.cache_clear()


def test_everything_is_there(home: Path) -> None:
    """Every fact has its place, and all of it can be written as JSON."""
    require("llvmlite")
    config = show_config()
    assert set(config) == KEYS
    assert json.loads(json.dumps(config)) == config
    assert set(config["versions"]) == {"im2col", "llvmlite", "numpy", "python"}
    assert config["versions"]["im2col"] == __version__
    assert config["engine"] == "no failure so far"
    assert set(config["target"]) == {"cpu", "named", "triple", "family", "vector_bytes", "vector_registers", "caches"}
    assert len(config["target"]["caches"]) == 3
    assert {"reference", "explicit"} <= set(config["algorithms"])
    assert 1 <= config["threads"] == config["cpus"] <= (os.cpu_count() or 1)
    assert config["available_memory"] > 0
    assert (config["cache_folder"], config["cache_usable"]) == (str(home), True)


def test_threads_are_those_of_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's setting and the environment show; a wrong one is an error that names itself."""
    monkeypatch.setenv("IM2COL_NUM_THREADS", "3")
    assert show_config()["threads"] == 3
    set_threads(5)
    assert show_config()["threads"] == 5
    set_threads(None)
    monkeypatch.setenv("IM2COL_NUM_THREADS", "many")
    message = "show_config: the environment variable IM2COL_NUM_THREADS must be a positive integer, got 'many'"
    with raises_exactly(ArgumentError, message):
        show_config()


def test_kernels_are_counted_and_cleared(home: Path) -> None:
    """The cache's kernels are counted without loading them, and removed."""
    assert (show_config()["cached_kernels"], clear_cache()) == (0, 0)
    assert not home.exists()
    for key in ("a", "b"):
        cache.write(key, b"data")
    assert show_config()["cached_kernels"] == 2
    assert (clear_cache(), clear_cache(), show_config()["cached_kernels"]) == (2, 0, 0)


@pytest.mark.usefixtures("forgotten")
def test_a_target_that_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong name is an error that names itself."""
    require("llvmlite")
    monkeypatch.setenv("IM2COL_TARGET", "zen9")
    with pytest.raises(ArgumentError, match=r"^show_config: the environment variable IM2COL_TARGET must .*'zen9'$"):
        show_config()


@pytest.mark.usefixtures("forgotten")
def test_a_missing_llvmlite_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without llvmlite the reason stands in the target's place, and nothing fails."""
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    config = show_config()
    assert set(config) == KEYS - {"target"}
    assert "ModuleNotFoundError: import of llvmlite" in config["engine"]
    assert json.dumps(config)


@pytest.mark.usefixtures("forgotten")
def test_a_broken_llvmlite_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """What llvmlite raises when it is asked for the CPU is shown with its kind."""
    binding = require("llvmlite.binding")

    def broken() -> str:
        raise OSError("libLLVM.so: cannot open shared object file")

    monkeypatch.setattr(binding, "get_process_triple", broken)
    assert show_config()["engine"] == "OSError: libLLVM.so: cannot open shared object file"


def test_a_missing_installation_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is installed, the package knows its own version, and llvmlite's absence is the reason."""
    from importlib import metadata

    def not_installed(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", not_installed)
    config = show_config()
    assert config["engine"] == "PackageNotFoundError: No package metadata was found for llvmlite"
    assert set(config["versions"]) == {"im2col", "numpy", "python"}


def test_a_failure_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that has failed in this process says why, with the target that it failed on."""
    require("llvmlite")
    monkeypatch.setitem(compiler._state, "failure", "RuntimeError: no such CPU")
    config = show_config()
    assert config["engine"] == "RuntimeError: no such CPU"
    assert "target" in config


@pytest.mark.skipif(os.name != "posix", reason="a user has a home on Windows")
def test_a_user_without_a_home_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container whose user has no home folder, the configuration can still be shown."""

    def nobody(_uid: int) -> None:
        raise KeyError

    for name in ("IM2COL_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert clear_cache() == 0
    config = show_config()
    assert (config["cached_kernels"], config["cache_folder"], config["cache_usable"]) == (0, None, False)
    assert json.dumps(config)


@pytest.mark.skipif(os.name != "posix", reason="a user's folders are apart on Windows")
def test_a_folder_that_others_may_read_shows(home: Path) -> None:
    """A folder that the cache refuses is said to be of no use."""
    home.mkdir(mode=0o755)
    assert show_config()["cache_usable"] is False
