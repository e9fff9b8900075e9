"""What a newcomer meets at the command line: help, examples, standard input and output, words, and signals."""

from __future__ import annotations

import io
import os
import shlex
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
from PIL import Image

import im2col
from im2col.cli.words import in_words_of_options
from im2col.photo.filtering import filter_photo
from im2col.photo.image_files import Photo, read_photo
from im2col.photo.writing import FORMATS
from im2col.spec.padding import PaddingName

from .kit.command_line import COMMANDS, Result, broken_off, runner
from .kit.onnx_models import parsed
from .kit.outcomes import require
from .kit.processes import HANG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return what runs a command in a folder that holds a photograph."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)).save("photo.jpg")

    return runner(capsys)


def help_of(run: Callable[..., Result], command: str) -> str:
    """Return a command's help in one line."""
    return " ".join(run(command, "--help").out.split())


# --- help


@pytest.mark.parametrize("arguments", [[], ["-h"], ["help"], ["--help"]])
def test_help_is_no_error(run: Callable[..., Result], arguments: list[str]) -> None:
    """Nothing at all, and every usual way to ask, list the commands."""
    done = run(*arguments)
    assert (done.status, done.err) == (0, "")
    assert done.out == run("--help").out
    for command in COMMANDS:
        assert f"  {command} " in done.out


def test_help_of_a_command(run: Callable[..., Result]) -> None:
    """Before its name, or behind it."""
    expected = run("filter", "--help")
    assert expected.status == 0
    assert run("help", "filter") == run("filter", "-h") == expected


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_of_every_command_runs(
    run: Callable[..., Result], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands at the end of the help, and it works."""
    monkeypatch.setattr("im2col.demo.run_demo", lambda *_, **__: SimpleNamespace(passed=True))
    if command == "onnx":
        model = parsed("net (float[1, 3, H, W] x) => (float[1, 3, H, W] y) { y = Relu (x) }")
        require("onnx").save(model, "model.onnx")
    line = run(command, "--help").out.strip().splitlines()[-1].strip()
    assert line.startswith("Example: im2col ")
    program, *arguments = shlex.split(line.removeprefix("Example: "))
    assert (program, arguments[0]) == ("im2col", command)
    done = run(*arguments)
    assert (done.status, done.err) == (0, "")


def test_filter_lists_what_it_writes(run: Callable[..., Result]) -> None:
    """Each format, and which way an even kernel leans."""
    text = help_of(run, "filter")
    for form in FORMATS:
        assert any(ending in text for ending in form.endings), form.name
    assert "SciPy's and OpenCV's results of 2 x 2 lie one pixel further down and right" in text


def test_an_even_kernel_leans_as_the_help_says() -> None:
    """SciPy's result at a pixel is ours one pixel up and left."""
    ndimage = require("scipy.ndimage")
    grey = np.random.default_rng(0).integers(0, 256, (12, 12, 1), np.uint8)
    weights = np.array([[1.0, 2.0], [3.0, -5.0]])
    ours = filter_photo(Photo(grey), weights).samples[:, :, 0]
    theirs = ndimage.correlate(grey[:, :, 0].astype(float), weights).clip(0, 255)
    np.testing.assert_array_equal(theirs[1:, 1:], ours[:-1, :-1])


@pytest.mark.parametrize("command", ["filter", "matrix", "shape", "cost", "plan", "draw"])
def test_padding_lists_its_names(run: Callable[..., Result], command: str) -> None:
    """All of them."""
    text = help_of(run, command)
    for name in get_args(PaddingName):
        assert name in text
        kernel = ["--kernel", "blur"] if command == "filter" else ["--kernel-size", "3"]
        if command in {"filter", "matrix"}:
            out = "out.png" if command == "filter" else "out.npy"
            assert run(command, "photo.jpg", *kernel, "--padding", name, "-o", out, "--force").status == 0


def test_the_version_needs_no_library(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, too."""
    monkeypatch.setitem(sys.modules, "typer", None)
    assert run("--version") == Result(0, f"im2col {im2col.__version__}\n", "")


# --- words


def test_errors_speak_of_options(run: Callable[..., Result]) -> None:
    """As they were typed, and of no argument of a function."""
    for arguments, line in [
        (
            "matrix photo.jpg --kernel-size 3 --layout HWC -o c.npy",
            "matrix: --layout HWC is for .npy files; leave it out, a photograph's axes are known",
        ),
        (
            "filter photo.jpg --kernel blur --threads 0 -o b.png",
            "filter: --threads must be a positive integer or None, ",
        ),
        ("filter photo.jpg --kernel blur --padding-mode odd -o b.png", "filter: --padding-mode must be one of "),
        ("shape 8,8 --kernel-size 0", "shape: --kernel-size must be at least 1, got 0"),
        ("draw slide -o a.svg --labels odd", "draw: --labels must be 'values' or 'letters', got 'odd'"),
    ]:
        done = run(*arguments.split())
        assert (done.status, done.out) == (2, "")
        assert done.err.startswith(f"im2col {line}")
        assert done.err.count("\n") == 1


def test_arguments_in_words_of_options() -> None:
    """What a message may hold."""
    layout = SimpleNamespace(name="layout", opts=["--layout"])
    mode = SimpleNamespace(name="padding_mode", opts=["--padding-mode"])
    weights = SimpleNamespace(name="weight_shape", opts=["weight_shape"])
    out = SimpleNamespace(name="out", opts=["-o", "--out"])
    for message, expected in [
        ("pass layout='HWC' or so", "pass --layout HWC or so"),
        ("padding_mode must be one", "--padding-mode must be one"),
        ("in mode padding_mode='edge'; go", "in mode --padding-mode edge; go"),
        ("the layout is odd", "the layout is odd"),
        ("cannot read 'padding_mode.npy' or ./padding_mode/a", "cannot read 'padding_mode.npy' or ./padding_mode/a"),
        ("use another padding_mode.", "use another --padding-mode."),
        ("pass w of shape (1, 2)", "pass WEIGHT_SHAPE of (1, 2)"),
        ("lower workspace_limit, or work on fewer images", "work on fewer images"),
        ("pass force (--force) to replace it", "pass --force to replace it"),
        ("pass large=True (--large)", "pass --large"),
    ]:
        assert in_words_of_options(message, [layout, mode, weights, out]) == expected


def test_no_command_is_offered_what_it_lacks(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan beyond the memory does not speak of workspace_limit."""
    monkeypatch.setattr("im2col.engine.host._ALWAYS_FITS", 0)
    monkeypatch.setattr("im2col.engine.host.available_memory", lambda: 1 << 10)
    for arguments in (
        "plan 1,64,56,56 64,64,3,3 --algorithm explicit",
        "filter photo.jpg --kernel blur -o b.png",
        "matrix photo.jpg --kernel-size 3 -o b.npy",
    ):
        done = run(*arguments.split())
        assert done.status == 2
        assert "1.0 KiB are available; " in done.err
        assert "workspace_limit" not in done.err


def test_a_kernel_that_changes_the_brightness_gives_a_hint(run: Callable[..., Result], tmp_path: Path) -> None:
    """One of its own; those that sum to 1 or to 0 give none."""
    hint = (
        "im2col: note: k.npy: the weights sum to 9, by which even areas are multiplied; divide them by it to keep the "
        "brightness\n"
    )
    for weights, expected in [
        (np.ones((3, 3)), hint),
        (np.ones((3, 3)) / 9, ""),
        (np.array([[0.1, -0.3, 0.2]]), ""),
        (np.array([[1, -2, 1]]), ""),
    ]:
        np.save(tmp_path / "k.npy", weights)
        done = run("filter", "photo.jpg", "--kernel", "k.npy", "-o", "b.png", "--force")
        assert (done.status, done.err) == (0, expected)


def test_matrix_says_what_it_does_with_alpha(run: Callable[..., Result], tmp_path: Path) -> None:
    """A note; the matrix is that of the colours."""
    rgba = np.random.default_rng(0).integers(0, 256, (8, 9, 4), np.uint8)
    Image.fromarray(rgba).save("a.png")
    done = run("matrix", "a.png", "--kernel-size", 3, "-o", "c.npy")
    assert (done.status, done.err) == (0, "im2col: note: a.png: alpha was left out of the matrix\n")
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), im2col.im2col(rgba[:, :, :3], 3, layout="HWC"))
    assert "alpha is left out" in help_of(run, "matrix")


@pytest.mark.parametrize("name", ["a.png", "a.html"])
def test_what_animates_nothing_is_refused(run: Callable[..., Result], name: str) -> None:
    """All steps in a picture that has one."""
    line = f"im2col draw: --step all animates, which only .svg and .gif hold; got {name}, so name one step\n"
    assert run("draw", "slide", "--step", "all", "-o", name) == Result(2, "", line)


def test_explore_writes_a_page_only(run: Callable[..., Result]) -> None:
    """No still picture."""
    line = "the explorer is a page, whose name ends in .html; got x.png; `im2col draw` draws a picture\n"
    assert run("explore", "-o", "x.png") == Result(2, "", f"im2col explore: {line}")


@pytest.mark.parametrize("command", ["shape 1,3,8,8 --kernel-size 3", "cost 1,3,8,8 4,3,3,3", "plan 1,3,8,8 4,3,3,3"])
def test_bfloat16(run: Callable[..., Result], command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the other dtypes of ml_dtypes; without it, the line says what to install."""
    require("ml_dtypes")
    done = run(*command.split(), "--dtype", "bfloat16")
    assert (done.status, done.err) == (0, "")
    line = "--dtype bfloat17 is not a dtype; use one such as float32, int8 or bfloat16\n"
    assert run(*command.split(), "--dtype", "bfloat17").err.endswith(line)
    line = "--dtype float8_e9 is not a dtype; use one such as float32, int8 or bfloat16\n"
    assert run(*command.split(), "--dtype", "float8_e9").err.endswith(line)
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    line = "--dtype float8_e9 needs ml_dtypes; install it with pip install ml_dtypes\n"
    assert run(*command.split(), "--dtype", "float8_e9").err.endswith(line)


def test_demo_replaces_only_with_force(run: Callable[..., Result], tmp_path: Path) -> None:
    """A user's own file stays, and nothing is computed."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d/explorer.html").write_text("precious")
    line = "cannot write 'd/explorer.html': it exists already; name another file, or pass --force to replace it\n"
    assert run("demo", "--out", "d") == Result(2, "", f"im2col demo: {line}")
    assert (tmp_path / "d/explorer.html").read_text() == "precious"


@pytest.mark.parametrize(("folder", "usable"), [("/proc/nowhere", False), ("file/x", False), ("new/folder", True)])
def test_a_cache_that_cannot_be_is_not_usable(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str, usable: bool
) -> None:
    """Tried, and nothing is left of the try."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("IM2COL_CACHE_DIR", str(tmp_path / folder))
    assert f"cache usable      {usable}\n" in run("config").out
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "photo.jpg"]


# --- standard input and output


def process(*arguments: str, data: bytes, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    """Run the command line on bytes."""
    return subprocess.run(
        [sys.executable, "-m", "im2col", *arguments],
        input=data,
        capture_output=True,
        timeout=HANG_SECONDS,
        check=False,
        cwd=cwd,
    )


def test_a_photograph_through_a_pipe(run: Callable[..., Result], tmp_path: Path) -> None:
    """Bytes in, PNG out; what is said stands on standard error."""
    assert run("filter", "photo.jpg", "--kernel", "blur", "-o", "b.png").status == 0
    data = (tmp_path / "photo.jpg").read_bytes()
    done = process("filter", "-", "--kernel", "blur", "-o", "-", data=data, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.decode().startswith("- (30 × 20 RGB) → - (30 × 20 RGB): blur, ")
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), read_photo(tmp_path / "b.png").samples)


def test_a_matrix_through_a_pipe(run: Callable[..., Result], tmp_path: Path) -> None:
    """What the file would hold."""
    assert run("matrix", "photo.jpg", "--kernel-size", "3", "-o", "c.npy").status == 0
    data = (tmp_path / "photo.jpg").read_bytes()
    done = process("matrix", "-", "--kernel-size", "3", "-o", "-", data=data, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, (tmp_path / "c.npy").read_bytes())


def test_a_terminal_gets_no_bytes(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the work."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    done = run("filter", "photo.jpg", "--kernel", "blur", "-o", "-")
    line = "cannot write '-': standard output is a terminal; name a file, or add > and a file's name\n"
    assert done == Result(2, "", f"im2col filter: {line}")


def test_closed_streams_are_one_line(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where a shell closes them (``<&-``, ``>&-``), Python has None: an error where `-` needs them, else nothing."""
    monkeypatch.setattr(sys, "stdin", None)
    done = run("filter", "-", "--kernel", "blur", "-o", "a.png")
    line = "im2col filter: cannot read '-': standard input is closed; check the path and its permissions\n"
    assert (done.status, done.err) == (2, line)
    with monkeypatch.context() as closed:
        closed.setattr(sys, "stdout", None)
        done = run("filter", "photo.jpg", "--kernel", "blur", "-o", "-")
    assert (done.status, done.err) == (2, "im2col filter: cannot write '-': standard output is closed; name a file\n")
    with monkeypatch.context() as closed:
        closed.setattr(sys, "stdout", None)
        done = run("filter", "photo.jpg", "--kernel", "blur", "-o", "a.png")
    assert (done.status, done.err, (tmp_path / "a.png").exists()) == (0, "", True)


def test_nothing_on_standard_input(tmp_path: Path) -> None:
    """One line."""
    done = process("filter", "-", "--kernel", "blur", "-o", "b.png", data=b"", cwd=tmp_path)
    line = "im2col filter: - is no image that Pillow can read; convert it to PNG, TIFF or JPEG first\n"
    assert (done.returncode, done.stdout, done.stderr.decode()) == (2, b"", line)


# --- signals


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_leaves_no_part_of_a_file(tmp_path: Path, name: str, status: int) -> None:
    """One line, the status that shells expect, and an empty folder."""
    # nohup ignores it.
    assert broken_off(tmp_path, name, "signal.SIG_DFL") == (status, b"", b"im2col: ended by a signal\n")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_signals_are_as_they_were(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """What was ignored stays ignored, and what a program had set is set again."""
    seen: list[Any] = []

    def look() -> dict[str, object]:
        seen.append((signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)))
        return {}

    monkeypatch.setattr("im2col.cli.commands.show_config", look)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN), signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        assert run("config").status == 0
        assert callable(seen[0][0])
        assert seen[0][1] == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before[0])
        signal.signal(signal.SIGTERM, before[1])


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_in_this_process(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, name: str, status: int
) -> None:
    """The same, where coverage sees it."""
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_DFL)
    monkeypatch.setattr("im2col.cli.commands.show_config", lambda: signal.raise_signal(number))
    try:
        assert run("config") == Result(status, "", "im2col: ended by a signal\n")
    finally:
        signal.signal(number, before)
