"""The column matrix as a file: it is what `np.save` would write of `im2col`'s result."""

from __future__ import annotations

import io
import shutil
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import im2col.matrix_file
from im2col import ArgumentError, DTypeError, FileError, GeometryError, MemoryBudgetError
from im2col import im2col as columns_of
from im2col.matrix_file import MatrixShape, describe, write_matrix

from .kit.outcomes import raises_exactly, unknown_mode
from .kit.strategies import Case, cases

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def saved(array: NDArray[Any]) -> bytes:
    """Return the bytes that `np.save` writes."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


# np.save does not know ml_dtypes' bfloat16 and would write it as raw bytes.
STORED = st.sampled_from([np.dtype(code) for code in "?bhilqBHILQefdgFDG"])


@given(cases(dtype=STORED), st.sampled_from([1, 64, 300, 1 << 20]))
def test_the_file_is_what_numpy_would_save(tmp_path_factory: pytest.TempPathFactory, case: Case, block: int) -> None:
    """Byte for byte: any window, layout, dtype, memory order and padding mode, however small the blocks are."""
    folder = tmp_path_factory.mktemp("matrix")
    np.save(folder / "x.npy", case.x)
    window = {key: value for key, value in case.arguments.items() if key != "kernel_size"}
    steps: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(im2col.matrix_file, "BLOCK_BYTES", block)
        written = write_matrix(
            folder / "x.npy",
            folder / "cols.npy",
            case.arguments["kernel_size"],
            progress=lambda done, total: steps.append((done, total)),
            **window,
        )
    expected = columns_of(case.x, **case.arguments)
    assert (folder / "cols.npy").read_bytes() == saved(expected)
    assert (written.matrix_shape, written.dtype) == (expected.shape, str(expected.dtype))
    assert written.matrix_bytes == expected.nbytes
    if expected.nbytes:
        assert steps[-1] == (expected.nbytes, expected.nbytes)
    shutil.rmtree(folder)


@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 3), (7, 9, 4)])
def test_a_photograph(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Its colour channels, (C, H, W), in its own dtype; alpha is left out."""
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    Image.fromarray(array).save(tmp_path / "a.png")
    written = write_matrix(tmp_path / "a.png", tmp_path / "cols.npy", (3, 2), stride=2, padding="same")
    image = array if array.ndim == 2 else array[:, :, :3].transpose(2, 0, 1)
    expected = columns_of(image, (3, 2), stride=2, padding="same")
    np.testing.assert_array_equal(np.load(tmp_path / "cols.npy"), expected)
    assert written.layout == ("HW" if array.ndim == 2 else "HWC")


def test_only_a_block_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a matrix of 19 MiB, no more than a block of 256 KiB is ever made."""
    np.save(tmp_path / "x.npy", np.zeros((500, 500), np.uint8))
    monkeypatch.setattr(im2col.matrix_file, "BLOCK_BYTES", 1 << 18)
    # The first call compiles, which takes memory of its own.
    for path in (tmp_path / "warm.npy", tmp_path / "cols.npy"):
        tracemalloc.start()
        written = write_matrix(tmp_path / "x.npy", path, 9, threads=1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert written.matrix_bytes > 18 << 20
    assert peak < 1 << 19


def test_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole message of each; nothing is left behind."""
    x, target, k = tmp_path / "x.npy", tmp_path / "cols.npy", {"kernel_size": 3}
    photo = tmp_path / "a.png"
    Image.new("L", (8, 8)).save(photo)
    np.save(x, np.zeros((8, 8)))
    np.save(tmp_path / "text.npy", np.array([["a"]]))
    before = sorted(tmp_path.iterdir())
    calls: list[tuple[Any, Any, dict[str, Any], type[Exception], str]] = [
        (x, "cols.txt", k, FileError, "the matrix is written as a .npy file, got cols.txt; use cols.txt.npy"),
        (
            x,
            x,
            k,
            FileError,
            f"cannot write '{x}': it exists already; name another file, or pass force (--force) to replace it",
        ),
        (
            photo,
            target,
            k | {"layout": "HW"},
            ArgumentError,
            "layout='HW' is for .npy files; leave it out, a photograph's axes are known",
        ),
        (
            "no.npy",
            target,
            k,
            FileError,
            "cannot read 'no.npy': No such file or directory; check the path and its permissions",
        ),
        (
            tmp_path / "text.npy",
            target,
            k,
            DTypeError,
            f"{tmp_path / 'text.npy'} has dtype <U1, which is not a number; convert it first, as in "
            f"np.asarray({tmp_path / 'text.npy'}, float)",
        ),
        (
            x,
            target,
            {"kernel_size": 9},
            GeometryError,
            "the kernel spans 9 pixels (size 9, dilation 1) but axis H of the padded image has 8; pad by at least 1 on "
            "each side or use a smaller kernel",
        ),
        (
            x,
            target,
            k | {"tap_order": "up"},
            ArgumentError,
            "tap_order must be 'channel-first' or 'channel-last', got 'up'",
        ),
        (
            x,
            target,
            k | {"padding_mode": "up"},
            ArgumentError,
            unknown_mode("up"),
        ),
        (x, target, k | {"threads": 0}, ArgumentError, "threads must be a positive integer or None, got 0"),
        (
            x,
            target,
            k | {"padding": 1 << 20, "stride": 1 << 19},
            MemoryBudgetError,
            "the padded image (2097160, 2097160) of float64 would take 32.0 TiB but 1.0 GiB are available; use less "
            "padding",
        ),
    ]
    monkeypatch.setattr("im2col.engine.host.available_memory", lambda: 1 << 30)
    for source, out, arguments, error, message in calls:
        with raises_exactly(error, f"write_matrix: {message}"):
            write_matrix(source, out, **arguments)
    usage = type("Usage", (), {"free": 1 << 10})
    monkeypatch.setattr("im2col.files.shutil.disk_usage", lambda _: usage)
    with raises_exactly(
        FileError,
        f"write_matrix: the column matrix (36, 9) of float64 takes 2.5 KiB but the disk of {tmp_path} has 1.0 KiB "
        "free; write it to another disk, or use a greater stride",
    ):
        write_matrix(x, target, 3)
    assert sorted(tmp_path.iterdir()) == before


def test_a_failure_midway_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A progress callback that raises stops the work, as Ctrl-C does."""
    np.save(tmp_path / "x.npy", np.zeros((8, 8)))
    monkeypatch.setattr(im2col.matrix_file, "BLOCK_BYTES", 64)

    def progress(done: int, total: int) -> None:
        assert 0 < done <= total
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_matrix(tmp_path / "x.npy", tmp_path / "cols.npy", 3, progress=progress)
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


@given(cases())
def test_the_description_is_true(case: Case) -> None:
    """Shapes, bytes and duplication are those of the matrix that `im2col` makes."""
    window = {k: v for k, v in case.arguments.items() if k not in ("padding_mode", "tap_order")}
    shape = describe(case.shape, dtype=case.x.dtype, **window)
    matrix = columns_of(case.x, **case.arguments)
    assert (shape.matrix_shape, shape.matrix_bytes) == (matrix.shape, matrix.nbytes)
    assert shape.output_shape == case.window.output_shape
    assert shape.padding == case.window.padding
    assert shape.duplication == (matrix.size / case.x.size if case.x.size else 0.0)
    assert MatrixShape(**shape.as_dict()) == shape


def test_the_description_names_a_dtype_it_cannot_use() -> None:
    """As everywhere."""
    with raises_exactly(DTypeError, "describe: dtype='fish' is not a dtype; pass one such as np.float32"):
        describe((8, 8), 3, dtype="fish")
