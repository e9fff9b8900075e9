"""The command line: what each command prints, and one line with exit status 2 for whatever is wrong."""

from __future__ import annotations

import errno
import json
import os
import re
import runpy
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

import im2col
from im2col import ArgumentError, EngineWarning, GeometryError
from im2col.cli import main
from im2col.cli.commands import app
from im2col.cli.options import parse_padding, parse_shape, parse_window, read_layers
from im2col.demo import Report
from im2col.photo.filtering import filter_photo
from im2col.photo.image_files import read_photo
from im2col.photo.kernels import KERNELS
from im2col.photo.png_writing import PngSink

from .kit.command_line import Result, broken_off, fails, runner, said
from .kit.outcomes import raises_exactly
from .kit.processes import HANG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

CHELSEA = Path(im2col.__file__).parent / "data/chelsea.jpg"


Run = "Callable[..., Result]"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return what runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    return runner(capsys)


@pytest.fixture
def photo(tmp_path: Path) -> str:
    """Return the name of a small photograph in the folder."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)).save(tmp_path / "cat.png")
    return "cat.png"


# --- commands that work


def test_filter(run: Callable[..., Result], photo: str, tmp_path: Path) -> None:
    """One line says what was done, and the file holds what `filter_photo` gives."""
    done = run(
        "filter", photo, "--kernel", "sobel-x", "--signed", "--stride", "2,1", "--padding", "1:0,2", "-o", "b.png"
    )
    assert done.status == 0
    assert re.fullmatch(r"cat.png \(30 × 20 RGB\) → b.png \(32 × 10 RGB\): sobel-x, \d+\.\d\d s\n", done.out)
    assert done.err == ""
    expected = filter_photo(read_photo(tmp_path / photo), "sobel-x", signed=True, stride=(2, 1), padding=((1, 0), 2))
    np.testing.assert_array_equal(read_photo(tmp_path / "b.png").samples, expected.samples)
    run("filter", photo, "--kernel", "blur", "--compression", 0, "-o", "c.png")
    assert (tmp_path / "c.png").stat().st_size > expected.samples.nbytes / 2
    done = run("filter", photo, "--kernel", "blur", "--compression", 10, "-o", "d.png")
    assert done.err == "im2col filter: --compression must be 0 (none) to 9 (the smallest files), got 10\n"
    done = run("filter", photo, "--kernel", "blur", "--compression", 1, "-o", "d.jpg")
    assert done.err == "im2col filter: --compression is for PNG and TIFF, but JPEG is written; leave it out\n"


def test_filter_goes_on(
    run: Callable[..., Result], photo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an interruption the same command goes on, and says so; another one is refused in the words of options."""
    monkeypatch.setattr("im2col.photo.bands.BAND_SAMPLES", 1)
    command = ["filter", photo, "-o", "b.png", "--journal", "b.json", "--kernel"]
    write, left = PngSink.write, [2]

    def interrupted(sink: PngSink, rows: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        write(sink, rows)

    with monkeypatch.context() as patch:
        patch.setattr(PngSink, "write", interrupted)
        assert "No space left on device" in run(*command, "blur").err
    assert not (tmp_path / "b.png").exists()
    other = "the journal 'b.json' is that of another run, with other weights, options, bands"
    way_out = "call it as before, or remove the journal to begin anew"
    assert run(*command, "sobel-x").err == f"im2col filter: {other}; {way_out}\n"
    assert run(*command, "blur").err == "im2col: note: b.png: gone on with from row 10 of 20, as b.json tells\n"
    run("filter", photo, "--kernel", "blur", "-o", "c.png")
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "c.png").read_bytes()
    assert run(*command[:3], "d.jpg", *command[4:], "blur").err == (
        "im2col filter: --journal is for PNG and TIFF, but JPEG is written; leave it out\n"
    )


def test_filter_passes_every_option_on(run: Callable[..., Result], photo: str, tmp_path: Path) -> None:
    """A kernel from a file; dilation, padding mode, algorithm, threads; the level of compression."""
    np.save(tmp_path / "k.npy", np.array([[1, -2, 1]]))
    window = ("--padding", "full", "--dilation", "2", "--padding-mode", "wrap")
    done = run("filter", photo, "--kernel", "k.npy", *window, "--algorithm", "reference", "--threads", 1, "-o", "b.png")
    assert done.status == 0
    options: Any = {"padding": "full", "dilation": 2, "padding_mode": "wrap"}
    expected = filter_photo(read_photo(tmp_path / photo), [[1, -2, 1]], **options)
    np.testing.assert_array_equal(read_photo(tmp_path / "b.png").samples, expected.samples)


def test_filter_says_what_was_lost(run: Callable[..., Result], tmp_path: Path) -> None:
    """A note on standard error; the command succeeds."""
    Image.new("CMYK", (4, 4)).save(tmp_path / "c.tif")
    done = run("filter", "c.tif", "--kernel", "blur", "-o", "d.png")
    assert (done.status, done.err) == (0, "im2col: note: c.tif: CMYK was converted to RGB\n")


def test_filter_replaces_with_force_and_reads_with_large(
    run: Callable[..., Result], photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ways out that errors name."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    arguments = ("filter", photo, "--kernel", "blur", "-o", photo)
    fails(
        run(*arguments),
        "filter: cannot write 'cat.png': it exists already; name another file, or pass --force to replace it",
    )
    fails(
        run(*arguments, "--force"),
        "filter: cat.png has more than 100 pixels, where Pillow suspects a decompression bomb; if you trust the file, "
        "pass --large",
    )
    assert run(*arguments, "--force", "--large").status == 0


def test_matrix(run: Callable[..., Result], photo: str, tmp_path: Path) -> None:
    """The file holds what `im2col` gives; the figures are printed."""
    order = ("--orientation", "columns", "--tap-order", "channel-last", "--padding-mode", "edge")
    done = run("matrix", photo, "--kernel-size", "3,2", "--padding", "same", "--dilation", 2, *order, "-o", "cols.npy")
    assert done.status == 0
    assert re.fullmatch(
        re.escape(
            "image          (20, 30, 3) HWC\n"
            "window         kernel (3, 2), stride (1, 1), dilation (2, 2), padding ((2, 2), (1, 1))\n"
            "output         (20, 30)\n"
            "column matrix  (18, 600) of uint8, 10.5 KiB, 6 entries for each pixel\n"
            "written        cols.npy, "
        )
        + r"\d+\.\d\d s\n",
        done.out,
    )
    expected = im2col.im2col(
        read_photo(tmp_path / photo).samples,
        (3, 2),
        padding="same",
        dilation=2,
        layout="HWC",
        orientation="columns",
        tap_order="channel-last",
        padding_mode="edge",
    )
    np.testing.assert_array_equal(np.load(tmp_path / "cols.npy"), expected)


def test_matrix_of_an_array(run: Callable[..., Result], tmp_path: Path) -> None:
    """With its layout."""
    x = np.arange(24.0).reshape(2, 12)
    np.save(tmp_path / "x.npy", x)
    assert run("matrix", "x.npy", "--kernel-size", 3, "--layout", "NW", "--stride", 2, "-o", "c.npy").status == 0
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), im2col.im2col(x, 3, layout="NW", stride=2))
    assert run("matrix", "x.npy", "--kernel-size", 2, "-o", "c.npy", "--force", "--threads", 1).status == 0


def test_shape(run: Callable[..., Result]) -> None:
    """A table, or JSON and nothing else."""
    window = ("--kernel-size", "7", "--stride", "2", "--padding", "3", "--orientation", "columns", "--dtype", "int8")
    assert run("shape", "1,3,224,224", *window) == Result(
        0,
        "image          (1, 3, 224, 224) NCHW\n"
        "window         kernel (7, 7), stride (2, 2), dilation (1, 1), padding ((3, 3), (3, 3))\n"
        "output         (112, 112)\n"
        "column matrix  (1, 147, 12544) of int8, 1.8 MiB, 12.25 entries for each pixel\n",
        "",
    )
    done = run("shape", "1x224x224x3", *window, "--layout", "NHWC", "--json")
    assert json.loads(done.out) == {
        "image_shape": [1, 224, 224, 3],
        "layout": "NHWC",
        "kernel_size": [7, 7],
        "stride": [2, 2],
        "dilation": [1, 1],
        "padding": [[3, 3], [3, 3]],
        "output_shape": [112, 112],
        "matrix_shape": [1, 147, 12544],
        "dtype": "int8",
        "matrix_bytes": 147 * 12544,
        "duplication": 12.25,
    }


def test_cost(run: Callable[..., Result]) -> None:
    """What `im2col.cost` prints, or JSON and nothing else."""
    arguments = (
        "cost",
        "8x64x28x28",
        "32x16x3x3",
        "--stride",
        "2",
        "--padding",
        "1",
        "--dilation",
        "1",
        "--groups",
        "4",
    )
    expected = im2col.cost((8, 64, 28, 28), (32, 16, 3, 3), stride=2, padding=1, groups=4, dtype="float64")
    assert run(*arguments, "--dtype", "float64") == Result(0, f"{expected}\n", "")
    done = run(*arguments, "--dtype", "float64", "--json")
    assert json.loads(done.out) == json.loads(json.dumps(expected.as_dict()))


@pytest.mark.parametrize("operation", ["conv", "conv_transpose", "conv_input_gradient", "conv_weight_gradient"])
def test_cost_and_plan_of_an_operation(run: Callable[..., Result], operation: str) -> None:
    """What the library's own functions print of the same shapes."""
    shapes, options = ("2x8x14x14", "8x4x3x3"), ("--stride", "2", "--padding", "1", "--groups", "2", "--operation")
    layer: dict[str, Any] = {"stride": 2, "padding": 1, "groups": 2}
    expected = im2col.cost((2, 8, 14, 14), (8, 4, 3, 3), operation=operation, **layer)
    assert run("cost", *shapes, *options, operation) == Result(0, f"{expected}\n", "")
    w = np.zeros((8, 4, 3, 3), np.float32)
    make: dict[str, Callable[[], Any]] = {
        "conv": lambda: im2col.plan((2, 8, 14, 14), w, **layer),
        "conv_transpose": lambda: im2col.plan_transpose((2, 8, 14, 14), w, **layer),
        "conv_input_gradient": lambda: im2col.plan_input_gradient((2, 8, 14, 14), w, **layer),
        "conv_weight_gradient": lambda: im2col.plan_weight_gradient((2, 8, 14, 14), 8, 3, **layer),
    }
    made = make[operation]()
    assert run("plan", *shapes, *options, operation) == Result(0, f"{made}\n", "")
    found = json.loads(run("plan", *shapes, *options, operation, "--json").out)
    assert found == {
        "algorithm": made.algorithm,
        "threads": made.threads,
        "workspace_bytes": made.workspace_bytes,
        "flops": made.flops,
        "bytes_moved": made.bytes_moved,
    }


def test_cost_of_layers(run: Callable[..., Result], tmp_path: Path) -> None:
    """A file names layers; what it leaves out is taken from the options; there is a total."""
    (tmp_path / "net.tsv").write_text(
        "\ufeffname\tx_shape\tw_shape\tstride\tpadding\tgroups\n"
        "conv1\t1x3x224x224\t64x3x7x7\t2\t3\n"
        "\n"
        "dw\t1,64,56,56\t64,1,3,3\t\tsame\t64\n"
    )
    layers = [
        {"name": "conv1", "x_shape": (1, 3, 224, 224), "w_shape": (64, 3, 7, 7), "stride": 2, "padding": 3},
        {
            "name": "dw",
            "x_shape": (1, 64, 56, 56),
            "w_shape": (64, 1, 3, 3),
            "stride": (2, 1),
            "padding": "same",
            "groups": 64,
        },
    ]
    expected = im2col.cost([layer | {"dtype": "float16"} for layer in layers])
    options = ("--stride", "2,1", "--dtype", "float16")
    assert run("cost", "--layers", "net.tsv", *options) == Result(0, f"{expected}\n", "")
    found = json.loads(run("cost", "--layers", "net.tsv", *options, "--json").out)
    assert [layer["name"] for layer in found["layers"]] == ["conv1", "dw"]
    assert [layer["flops"] for layer in found["layers"]] == [layer.flops for layer in expected]
    assert {key: found[key] for key in ("flops", "bytes_moved", "matrix_bytes")} == {
        "flops": expected.flops,
        "bytes_moved": expected.bytes_moved,
        "matrix_bytes": expected.matrix_bytes,
    }


def test_config(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """What `show_config` returns, a line each, or JSON; `--clear-cache` says what was removed."""
    found = {
        "engine": "works",
        "algorithms": ["a", "b"],
        "target": {"cpu": "fast", "vector_bytes": 64, "caches": [1, 2]},
    }
    monkeypatch.setattr("im2col.cli.commands.show_config", lambda: found)
    monkeypatch.setattr("im2col.cli.commands.clear_cache", lambda: 3)
    lines = "engine            works\nalgorithms        a b\ntarget            cpu fast, vector bytes 64, caches 1 2\n"
    assert run("config") == Result(0, lines, "")
    assert json.loads(run("config", "--json").out) == found
    assert run("config", "--clear-cache") == Result(0, "3 files removed from the cache\n", "")


def test_config_of_this_machine_is_json(run: Callable[..., Result]) -> None:
    """Whatever was detected."""
    assert json.loads(run("config", "--json").out).keys() == im2col.show_config().keys()


def test_kernels(run: Callable[..., Result]) -> None:
    """One line for each."""
    lines = run("kernels").out.splitlines()
    assert len(lines) == len(KERNELS)
    assert lines[0] == "identity   3 × 3  the photograph as it is"


def test_version_and_help(run: Callable[..., Result]) -> None:
    """As any program."""
    assert run("--version") == Result(0, f"im2col {im2col.__version__}\n", "")
    done = run("--help")
    assert done.status == 0
    for command in ("filter", "matrix", "shape", "cost", "plan", "config", "kernels", "demo"):
        assert f"  {command} " in done.out
        assert run(command, "--help").status == 0


@pytest.mark.parametrize(("passed", "status"), [(True, 0), (False, 1)])
def test_demo_prints_its_report(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, passed: bool, status: int
) -> None:
    """The exit status is 1 where a result was wrong."""
    folders = []

    def run_demo(folder: str, *, force: bool) -> Any:
        folders.append((folder, force))
        return SimpleNamespace(passed=passed, __class__=Report)

    monkeypatch.setattr("im2col.demo.run_demo", run_demo)
    assert run("demo").status == status
    assert run("demo", "--out", "x", "--force").status == status
    assert folders == [("demo-out", False), ("x", True)]


def test_commands_work_in_typers_own_runner() -> None:
    """Nothing depends on `main`, but for the errors."""
    done = CliRunner().invoke(app, ["shape", "8,8", "--kernel-size", "3", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["matrix_shape"] == [36, 9]


# --- bad input


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("nonsense", "No such command 'nonsense'; try im2col --help"),
        ("filter", "Missing argument 'PHOTO'; try im2col filter --help"),
        ("filter cat.png --kernel blur", "Missing option '-o' / '--out'; try im2col filter --help"),
        ("filter cat.png -o b.png", "Missing option '--kernel'; try im2col filter --help"),
        ("matrix cat.png -o b.npy", "Missing option '--kernel-size'; try im2col matrix --help"),
        (
            "filter cat.png --kernel sharpn -o b.png",
            "filter: --kernel must be a name or a .npy file, got 'sharpn'; did you mean 'sharpen' or 'unsharp'?",
        ),
        (
            "filter no.png --kernel blur -o b.png",
            "filter: cannot read 'no.png': No such file or directory; check the path and its permissions",
        ),
        (
            "filter . --kernel blur -o b.png",
            "filter: cannot read '.': Is a directory; check the path and its permissions",
        ),
        (
            "filter text.txt --kernel blur -o b.png",
            "filter: text.txt is no image that Pillow can read; convert it to PNG, TIFF or JPEG first",
        ),
        (
            "filter cut.bmp --kernel blur -o b.png",
            "filter: cut.bmp cannot be decoded (image file is truncated (6 bytes not processed)); get a complete copy, "
            "or save it anew as PNG",
        ),
        (
            "filter cat.png --kernel blur -o text.txt/b.png",
            "filter: cannot write 'text.txt/b.png': there is no folder {folder}/text.txt; make it first",
        ),
        ("filter cat.png --kernel blur -o .", "filter: cannot write '.': it is a folder; name a file in it"),
        (
            "filter cat.png --kernel pickle.npy -o b.png",
            "filter: pickle.npy is no .npy file of numbers (the magic string is not correct; expected b'\\x93NUMPY', "
            "got b'\\x80\\x04]q\\x00K'); save one with np.save(path, array, allow_pickle=False)",
        ),
        (
            "filter cat.png --kernel objects.npy -o b.png",
            "filter: objects.npy is no .npy file of numbers (Array can't be memory-mapped: Python objects in dtype.); "
            "save one with np.save(path, array, allow_pickle=False)",
        ),
        (
            "filter cat.png --kernel blur --padding valid --dilation 9 -o b.png",
            "filter: the kernel spans 37 pixels (size 5, dilation 9) but axis H of the padded image has 20; pad by at "
            "least 9 on each side or lower the dilation",
        ),
        ("filter cat.png --kernel blur --stride -1 -o b.png", "filter: --stride must be at least 1, got -1"),
        (
            "filter cat.png --kernel blur --stride 1,2,3 -o b.png",
            "filter: --stride has 3 values (1, 2, 3) for 2 spatial axes; give one integer, or 2",
        ),
        (
            "filter cat.png --kernel blur --stride two -o b.png",
            "filter: --stride must be a whole number, or one for each axis such as 3,5; got 'two'",
        ),
        (
            "filter cat.png --kernel blur --padding 1:2:3 -o b.png",
            "filter: --padding must be a whole number, one for each axis such as 1,2, before:after for each axis such "
            "as 1:2,0:3, or a name such as same; got '1:2:3'",
        ),
        (
            "filter cat.png --kernel blur --padding sane -o b.png",
            "filter: --padding must be an integer, one entry per axis, or one of ('valid', 'same', 'same_lower', "
            "'full', 'causal', 'multiple'); got 'sane'",
        ),
        ("filter cat.png --kernel blur --frobnicate -o b.png", "No such option: --frobnicate"),
        ("filter cat.png --kernel blur --threads x -o b.png", "Invalid value for '--threads': "),
        (
            "matrix cat.png --kernel-size 3 -o b.txt",
            "matrix: the matrix is written as a .npy file, got b.txt; use b.txt.npy",
        ),
        (
            "shape 1x3x --kernel-size 3",
            "shape: IMAGE_SHAPE must be whole numbers such as 1,3,224,224 or 1x3x224x224; got '1x3x'",
        ),
        (
            "shape 8,8 --kernel-size 99999999999999999999",
            "shape: --kernel-size must be a whole number, or one for each axis such as 3,5; got '99999999999999999999'",
        ),
        ("cost", "cost: pass IMAGE_SHAPE and WEIGHT_SHAPE, or --layers FILE.tsv instead of both"),
        ("cost 1,1,8,8", "cost: pass IMAGE_SHAPE and WEIGHT_SHAPE, or --layers FILE.tsv instead of both"),
        ("cost 1,1,8,8 --layers a", "cost: pass IMAGE_SHAPE and WEIGHT_SHAPE, or --layers FILE.tsv instead of both"),
        (
            "cost 1,4,8,8 1,3,3,3",
            "cost: the image (1, 4, 8, 8) has 4 channels in layout 'NCHW' but the filters (1, 3, 3, 3) with --groups 1 "
            "read 3; pass WEIGHT_SHAPE of (filters, channels/groups, *kernel)",
        ),
        (
            "plan 1,1,8,8 3,3",
            "plan: WEIGHT_SHAPE must be filters, channels/groups and the kernel, such as 64,3,7,7; got (3, 3)",
        ),
        (
            "plan 1,1,8,8 1,1,3,3 --operation fold",
            "plan: --operation must be 'conv' or 'conv_transpose' or 'conv_input_gradient' or 'conv_weight_gradient', "
            "got 'fold'",
        ),
        (
            "plan 1,1,8,8 1,1,3,3 --operation conv_transpose --padding-mode edge",
            "plan: --padding-mode does not go with conv_transpose; leave it out",
        ),
        (
            "cost 1,1,8,8 1,1,3,3 --dtype U3",
            "cost: --dtype <U3 is not a number; use one such as float32, int8 or bfloat16",
        ),
        (
            "shape 8,8 --kernel-size 3 --dtype fish",
            "shape: --dtype fish is not a dtype; use one such as float32, int8 or bfloat16",
        ),
        (
            "cost --layers no.tsv",
            "cost: cannot read 'no.tsv': No such file or directory; check the path and its permissions",
        ),
        ("demo --out text.txt", "demo: cannot make the folder 'text.txt': File exists; name another"),
        ("demo --out text.txt/x", "demo: cannot make the folder 'text.txt/x': Not a directory; name another"),
    ],
)
@pytest.mark.usefixtures("photo")
def test_bad_input_is_one_line(run: Callable[..., Result], tmp_path: Path, arguments: str, line: str) -> None:
    """The whole line, status 2, no traceback, nothing on standard output and no new file."""
    (tmp_path / "text.txt").write_text("no image")
    Image.new("RGB", (20, 30)).save(tmp_path / "cut.bmp")
    os.truncate(tmp_path / "cut.bmp", 900)
    (tmp_path / "pickle.npy").write_bytes(b"\x80\x04]q\x00K\x01a.")
    np.save(tmp_path / "objects.npy", np.array([[None]]), allow_pickle=True)
    before = sorted(tmp_path.iterdir())
    done = run(*arguments.split())
    expected = line.format(folder=tmp_path)
    if line.startswith(("No such option", "Invalid value")):  # how they end differs among typer's versions
        assert re.fullmatch(rf"im2col: {re.escape(line)}.*; try im2col filter --help\n", done.err)
        assert done[:2] == (2, "")
    else:
        fails(done, expected)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("filter", "", "--kernel", "blur", "-o", "b.png"),
            "filter: cannot read '': Is a directory; check the path and its permissions",
        ),
        (
            ("filter", "cat.png", "--kernel", "", "-o", "b.png"),
            f"filter: --kernel must be a name or a .npy file, got ''; the names are {', '.join(KERNELS)}",
        ),
        (
            ("filter", "cat.png", "--kernel", "blur", "-o", ""),
            "filter: cannot write '': it is a folder; name a file in it",
        ),
        (
            ("filter", "cat.png", "--kernel", "blur", "-o", "b.png", "--stride", ""),
            "filter: --stride must be a whole number, or one for each axis such as 3,5; got ''",
        ),
        (
            ("filter", "cat.png", "--kernel", "blur", "-o", "b.png", "--padding", ""),
            "filter: --padding must be a whole number, one for each axis such as 1,2, before:after for each axis such "
            "as 1:2,0:3, or a name such as same; got ''",
        ),
        (
            ("shape", "", "--kernel-size", "3"),
            "shape: IMAGE_SHAPE must be whole numbers such as 1,3,224,224 or 1x3x224x224; got ''",
        ),
    ],
)
@pytest.mark.usefixtures("photo")
def test_empty_arguments(run: Callable[..., Result], arguments: tuple[str, ...], line: str) -> None:
    """An empty string is bad input like any other."""
    fails(run(*arguments), line)


@pytest.mark.parametrize(
    ("failure", "status", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 2, "No space left on device"),
        (OSError("odd"), 2, "odd"),
        (MemoryError(), 2, "out of memory; use a smaller image or kernel"),
        (im2col.MemoryBudgetError("too\nlarge"), 2, "config: too large"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, ""),
    ],
)
def test_whatever_ends_a_command(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, failure: BaseException, status: int, line: str
) -> None:
    """One line, and the status that shells expect; nothing where nobody reads."""

    def fail() -> None:
        raise failure

    monkeypatch.setattr("im2col.cli.commands.show_config", fail)
    if isinstance(failure, BrokenPipeError):  # which typer sees first
        with pytest.raises(SystemExit, match=r"\A1\Z"):
            run("config")
    else:
        assert run("config") == Result(status, "", said(line))


def test_how_older_versions_of_typer_report_ctrl_c(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """They raise what newer ones return as the exit status."""

    def main(*_: Any, **__: Any) -> None:
        raise typer.Abort

    monkeypatch.setattr("typer.main.get_command", lambda _: SimpleNamespace(main=main))
    assert run("config") == Result(130, "", "im2col: interrupted\n")


def test_an_error_of_ours_is_not_hidden(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug keeps its traceback: nobody could report it otherwise."""
    monkeypatch.setattr("im2col.cli.commands.show_config", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("config")


def test_warnings_are_one_line(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """As errors are, and the filters of the caller stay as they were."""

    def warn() -> dict[str, object]:
        warnings.warn("the engine\nis away", EngineWarning, stacklevel=2)
        return {}

    monkeypatch.setattr("im2col.cli.commands.show_config", warn)
    shown = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert run("config") == Result(0, "", "im2col: the engine is away\n")
    assert warnings.showwarning is shown


def test_output_that_cannot_be_flushed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A pipe closed early, and a full disk, show only when the buffer is emptied."""
    for failure, status, line in [
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, ""),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "im2col: No space left on device\n"),
    ]:

        class Full:
            """Fails when it is flushed."""

            def __init__(self, failure: OSError, file: Any) -> None:
                self.failure, self.file = failure, file

            def write(self, text: str) -> int:
                return len(text)

            def flush(self) -> None:
                raise self.failure

            def fileno(self) -> int:
                return int(self.file.fileno())

        with (tmp_path / "out").open("w") as file:
            monkeypatch.setattr("im2col.cli.commands.show_config", dict)
            monkeypatch.setattr(sys, "stdout", Full(failure, file))
            assert main(["config"]) == status
            monkeypatch.undo()
            assert Path(f"/proc/self/fd/{file.fileno()}").readlink() == Path(os.devnull)
        assert capsys.readouterr().err == line


# --- the progress bar


@pytest.mark.parametrize(("seconds", "shown"), [(0.0, True), (60.0, False)])
def test_long_work_shows_its_progress_on_a_terminal(
    run: Callable[..., Result], photo: str, monkeypatch: pytest.MonkeyPatch, seconds: float, shown: bool
) -> None:
    """On standard error; short work shows none."""
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes that for a terminal
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("im2col.cli.progress._LONG", seconds)
    monkeypatch.setattr("im2col.photo.bands.BAND_SAMPLES", 1)
    done = run("filter", photo, "--kernel", "blur", "-o", "b.png")
    assert done.status == 0
    assert ("filtering" in done.err) is shown
    assert done.out.count("\n") == 1
    done = run("matrix", photo, "--kernel-size", 3, "-o", "c.npy")
    assert ("writing" in done.err) is shown


# --- text as values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1,2", (1, 2)),
        ("1:2", ((1, 2),)),
        ("1:2,0:3", ((1, 2), (0, 3))),
        ("1,0:3", (1, (0, 3))),
        ("same", "same"),
        ("-1", -1),
    ],
)
def test_padding_as_text(text: str, value: object) -> None:
    """Every way to write it."""
    assert parse_padding("padding", text) == value


def test_numbers_as_text() -> None:
    """Shapes with commas, x or ×; windows."""
    assert parse_shape("shape", "1,3,5") == parse_shape("shape", "1x3×5") == (1, 3, 5)
    assert parse_window("stride", "3") == 3
    assert parse_window("stride", "3,5") == (3, 5)
    for text in ("1e3", "1.0", "3,", ",3", "0x3", "9" * 5000):
        with pytest.raises(ArgumentError, match=r"\Astride must be a whole number, or one for each axis"):
            parse_window("stride", text)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "",
            ArgumentError,
            "the first line of {path} must name columns out of name, x_shape, w_shape, stride, padding, dilation, "
            "groups, x_shape and w_shape among them, separated by tabs; got nothing",
        ),
        (
            "x_shape\tw_shape\tpad\n",
            ArgumentError,
            "the first line of {path} must name columns out of name, x_shape, w_shape, stride, padding, dilation, "
            "groups, x_shape and w_shape among them, separated by tabs; got x_shape, w_shape, pad",
        ),
        (
            "x_shape\tw_shape\n1x1x8x8\t1x1x3x3\n1x1x8x8\t1x1x9x9\n",
            GeometryError,
            "the kernel spans 9 pixels (size 9, dilation 1) but axis H of the padded image has 8; pad by at least 1 on "
            "each side or use a smaller kernel (line 3 of {path})",
        ),
        (
            "x_shape\tw_shape\n1x1x8x8\n",
            ArgumentError,
            "w_shape must be whole numbers such as 1,3,224,224 or 1x3x224x224; got '' (line 2 of {path})",
        ),
        (
            "x_shape\tw_shape\n1x1x8x8\t1x1x3x3\t2\n",
            ArgumentError,
            "3 cells for 2 columns; take the extra tabs out (line 2 of {path})",
        ),
        (
            "x_shape\tw_shape\tgroups\n1x1x8x8\t1x1x3x3\tmany\n",
            ArgumentError,
            "groups must be a whole number, or one for each axis such as 3,5; got 'many' (line 2 of {path})",
        ),
    ],
)
def test_files_of_layers_that_are_wrong(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    """The message names the line."""
    path = tmp_path / "net.tsv"
    path.write_text(text)
    with raises_exactly(error, message.format(path=path)):
        read_layers(path)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    """Bytes that are not UTF-8."""
    path = tmp_path / "net.tsv"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ArgumentError, match=r"\A.*net.tsv is no file of tab-separated text: 'utf-8' codec"):
        read_layers(path)


# --- as processes


def process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a Python process and return what it left."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=HANG_SECONDS, check=False, **options
    )


def test_the_module_runs() -> None:
    """``python -m im2col``, with its exit status."""
    done = process("-m", "im2col", "kernels")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("identity   3 × 3  the photograph as it is\n")
    done = process("-m", "im2col", "shape", "3,3", "--kernel-size", "4")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("im2col shape: the kernel spans 4 pixels")


def test_the_module_ends_with_the_status_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, where coverage sees it."""
    monkeypatch.setattr(sys, "argv", ["im2col", "shape", "3,3", "--kernel-size", "4"])
    monkeypatch.delitem(sys.modules, "im2col.__main__", raising=False)
    with pytest.raises(SystemExit, match=r"\A2\Z"):
        runpy.run_module("im2col", run_name="__main__")


def test_a_terminal_without_the_characters() -> None:
    """What it cannot show becomes a question mark, and no traceback."""
    done = process("-m", "im2col", "cost", "--layers", "×", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2
    assert done.stderr.startswith("im2col cost: cannot read '?': No such file or directory;")


@pytest.mark.parametrize(
    ("absent", "arguments", "line"),
    [
        (
            "typer",
            ["kernels"],
            "im2col: the command line needs typer and rich; install them with pip install 'im2col[cli]'\n",
        ),
        (
            "PIL",
            ["filter", str(CHELSEA), "--kernel", "blur", "-o", "b.png"],
            "im2col filter: this needs Pillow; install it with pip install 'im2col[cli]'\n",
        ),
    ],
)
def test_without_an_extra(tmp_path: Path, absent: str, arguments: list[str], line: str) -> None:
    """One line that says how to get it."""
    code = f"import sys; sys.modules[{absent!r}] = None; from im2col.cli import main; sys.exit(main(sys.argv[1:]))"
    done = process("-c", code, *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


def test_without_typer_in_this_process(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, where coverage sees it."""
    monkeypatch.setitem(sys.modules, "typer", None)
    fails(run("kernels"), "the command line needs typer and rich; install them with pip install 'im2col[cli]'")


@pytest.mark.skipif(os.name == "nt", reason="pipes and signals of POSIX")
def test_a_reader_that_leaves_early() -> None:
    """``im2col kernels | head -0`` ends quietly."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "im2col", "kernels"],
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=HANG_SECONDS,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_standard_output() -> None:
    """One line, status 2."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "im2col", "kernels"],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=HANG_SECONDS,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, b"im2col: No space left on device\n")


@pytest.mark.skipif(os.name == "nt", reason="pipes and signals of POSIX")
def test_ctrl_c(tmp_path: Path) -> None:
    """One line, status 130, and no part of a file."""
    # A shell's background jobs ignore it.
    assert broken_off(tmp_path, "SIGINT", "signal.default_int_handler") == (130, b"", b"im2col: interrupted\n")
