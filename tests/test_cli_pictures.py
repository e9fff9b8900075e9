"""The commands that draw: what they read, what they write and print, and one line for whatever is wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import im2col
from im2col import illustrate
from im2col.cli import pictures
from im2col.cli.sources import read_filters
from im2col.photo.kernels import KERNELS
from im2col.photo.scaled import photo_image
from im2col.pictures.illustration import Illustration
from im2col.pictures.samples import sample_image, sample_weights
from im2col.pictures.story import chapters

from .kit.command_line import Result, fails, runner

if TYPE_CHECKING:
    from collections.abc import Callable

CHELSEA = Path(im2col.__file__).parent / "data/chelsea.jpg"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return what runs a command in an empty folder, with 100 columns and no browser."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("webbrowser.open", lambda url: pytest.fail(f"{url} was opened"))

    return runner(capsys)


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a word for the page, which has tests of its own."""
    monkeypatch.setattr(Illustration, "_content", lambda self, ending: f"{self!r} as {ending}".encode())


# --- samples


@pytest.mark.parametrize("shape", [(7,), (5, 6), (1, 1, 6, 6), (2, 3, 8, 8), (1, 2, 3, 4, 5), (1, 3, 64, 64)])
def test_samples(shape: tuple[int, ...]) -> None:
    """Digits and small weights, always the same; no mirror image, and no filter of zeros."""
    x, w = sample_image(shape), sample_weights(shape)
    assert x.shape == w.shape == shape
    assert x.dtype == w.dtype == np.dtype(np.int64)
    assert 0 <= x.min() < x.max() <= 9
    assert -2 <= w.min() < w.max() <= 2
    assert w.reshape(shape[0] if len(shape) > 2 else 1, -1).any(axis=1).all()
    np.testing.assert_array_equal(x, sample_image(shape))
    for axis in range(len(shape)):
        if shape[axis] > 1:
            assert not np.array_equal(x, np.flip(x, axis))


def test_no_filter_of_the_samples_is_zero() -> None:
    """Even where many are drawn from few values."""
    assert sample_weights((1000, 1, 1, 2)).any(axis=(1, 2, 3)).all()
    assert sample_weights((0, 1, 3, 3)).shape == (0, 1, 3, 3)


def test_samples_of_ever() -> None:
    """The numbers that documentation shows."""
    assert sample_image((1, 1, 6, 6))[0, 0].tolist() == [
        [2, 5, 6, 5, 5, 5],
        [3, 7, 7, 6, 7, 7],
        [6, 7, 6, 7, 8, 7],
        [3, 4, 8, 7, 7, 5],
        [0, 2, 6, 5, 3, 2],
        [3, 0, 4, 3, 1, 1],
    ]
    assert sample_weights((2, 2, 2)).tolist() == [[[-1, 1], [-1, 1]], [[-1, -2], [-2, 1]]]


# --- draw


def test_draw(run: Callable[..., Result], tmp_path: Path) -> None:
    """The file is what `illustrate` saves, by default of the samples."""
    assert run("draw", "slide", "-o", "a.svg") == Result(0, "slide: (1, 1, 6, 6) by (1, 1, 3, 3) → a.svg\n", "")
    expected = illustrate(sample_image((1, 1, 6, 6)), sample_weights((1, 1, 3, 3)), chapter="slide")
    assert (tmp_path / "a.svg").read_text("utf-8") == expected._repr_svg_()


def test_draw_passes_every_option_on(run: Callable[..., Result], tmp_path: Path) -> None:
    """Arrays from files, the window, the arrangement, and what is highlighted, in Chinese letters."""
    x, w = np.arange(2 * 5 * 6.0).reshape(5, 6, 2), np.arange(4 * 1 * 3 * 2.0).reshape(4, 1, 3, 2)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "w.npy", w)
    window = ("--stride", "2,1", "--padding", "1,0:2", "--dilation", "1,2", "--groups", 2, "--padding-mode", "edge")
    order = ("--layout", "HWC", "--orientation", "columns", "--tap-order", "channel-last")
    what = ("--step", 3, "--filter", 2, "--channel", 1, "--labels", "letters", "--lang", "zh")
    source = ("--array", "x.npy", "--kernel", "w.npy")
    for chapter in ("matmul-channels", "slide"):
        done = run("draw", chapter, "-o", "a.svg", "--force", *source, *window, *order, *what)
        assert done == Result(0, f"{chapter}: (5, 6, 2) by (4, 1, 3, 2) → a.svg\n", "")
        expected = illustrate(
            x,
            w,
            chapter=chapter,
            step=3,
            filter=2,
            channel=1,
            labels="letters",
            lang="zh",
            stride=(2, 1),
            padding=(1, (0, 2)),
            dilation=(1, 2),
            groups=2,
            padding_mode="edge",
            layout="HWC",
            orientation="columns",
            tap_order="channel-last",
        )
        assert (tmp_path / "a.svg").read_text("utf-8") == expected._repr_svg_()


@pytest.mark.parametrize("step", ["none", "all"])
def test_draw_without_a_step_and_with_all(run: Callable[..., Result], tmp_path: Path, step: Any) -> None:
    """`none` highlights nothing, `all` animates."""
    assert run("draw", "matmul", "--step", step, "--shape", "4,4", "--kernel", "2x2", "-o", "a.svg").status == 0
    x, w = sample_image((4, 4)), sample_weights((2, 2))
    expected = illustrate(x, w, chapter="matmul", step=None if step == "none" else "all")
    assert (tmp_path / "a.svg").read_text("utf-8") == expected._repr_svg_()


@pytest.mark.parametrize("chapter", list(chapters()))
def test_draw_every_chapter(run: Callable[..., Result], chapter: str) -> None:
    """Their names are the ones that --help lists."""
    assert run("draw", chapter, "--shape", "1,2,5,5", "-o", "a.svg").status == 0
    assert chapter in "".join(run("draw", "--help").out.split())


def test_draw_replaces_only_with_force(run: Callable[..., Result], tmp_path: Path) -> None:
    """As the other commands."""
    (tmp_path / "a.svg").write_text("mine")
    fails(
        run("draw", "slide", "-o", "a.svg"),
        "draw: cannot write 'a.svg': it exists already; name another file, or pass --force to replace it",
    )
    assert (tmp_path / "a.svg").read_text() == "mine"
    assert run("draw", "slide", "-o", "a.svg", "--force").status == 0
    assert (tmp_path / "a.svg").read_text("utf-8").startswith("<svg")


# --- what is drawn


def test_a_photograph_is_scaled_down(tmp_path: Path) -> None:
    """To 224 pixels on the longer side; a small one stays as it is; 16 bits become 8."""
    assert photo_image(CHELSEA).shape == (3, 149, 224)
    assert photo_image(CHELSEA, 10).shape == (3, 7, 10)
    samples = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(samples).save(tmp_path / "small.png")
    found = photo_image(tmp_path / "small.png")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, samples.transpose(2, 0, 1))
    deep = np.array([[0, 255, 256, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(photo_image(tmp_path / "deep.png"), [[[0, 0, 1, 255]]])
    Image.new("L", (1000, 1)).save(tmp_path / "line.png")
    assert photo_image(tmp_path / "line.png").shape == (1, 1, 224)


def test_a_named_kernel_goes_over_each_channel() -> None:
    """Without groups; with groups one filter a group reads all of its channels."""
    options: Any = {"layout": None, "default": 1}
    weights = KERNELS["sobel-x"].weights
    for shape, channels in (((8, 8), 1), ((3, 8, 8), 3), ((2, 4, 8, 8), 4)):
        w, groups = read_filters("sobel-x", np.zeros(shape), groups=None, **options)
        assert (w.shape, groups) == ((channels, 1, 3, 3), channels)
        np.testing.assert_array_equal(w, np.broadcast_to(weights, w.shape))
        assert w.dtype == np.int64
    w, groups = read_filters("sobel-x", np.zeros((4, 8, 8)), groups=2, **options)
    assert (w.shape, groups) == ((2, 2, 3, 3), 2)
    blur = KERNELS["gaussian"]
    assert blur.divisor != 1
    w, groups = read_filters("gaussian", np.zeros((8, 8, 3)), layout="HWC", groups=None, default=1)
    assert groups == 3
    np.testing.assert_array_equal(w[2, 0], blur.weights / blur.divisor)


@pytest.mark.parametrize(
    ("shape", "layout", "groups", "expected"),
    [
        ((9,), None, None, (4, 1, 3)),
        ((8, 8), None, None, (4, 1, 3, 3)),
        ((3, 8, 8), None, None, (4, 3, 3, 3)),
        ((1, 6, 8, 8), None, 3, (6, 2, 3, 3)),
        ((1, 2, 8, 8, 8), None, None, (4, 2, 3, 3, 3)),
        ((1, 8, 8, 5), "NHWC", None, (4, 5, 3, 3)),
        ((2, 9), "CW", None, (4, 2, 3)),
    ],
)
def test_weights_where_none_are_named(
    shape: tuple[int, ...], layout: str | None, groups: int | None, expected: tuple[int, ...]
) -> None:
    """They fit the image."""
    w, found = read_filters(None, np.zeros(shape), layout=layout, groups=groups, default=4)
    np.testing.assert_array_equal(w, sample_weights(expected))
    assert found == (groups or 1)


# --- show


def test_show(run: Callable[..., Result]) -> None:
    """What `Illustration.show` prints, as wide as COLUMNS says."""
    done = run("show", "matmul", "--shape", "1,1,4,4", "--kernel", "1,1,2,2", "--step", 1)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("Matrix times flattened kernel\n")
    assert "2 │[6 7 8 7]│            3 │[ 1]│                 3 │ 22 │           │ 16 12  9 │\n" in done.out
    assert "\x1b" not in done.out


def test_show_a_photograph(run: Callable[..., Result]) -> None:
    """A named kernel over its three colours; a line for each that is not drawn."""
    done = run("show", "channels", "--image", CHELSEA, "--kernel", "sobel-x", "--lang", "zh")
    assert done.status == 0
    assert "3 × 149 × 224" in done.out
    assert "3 × 147 × 222" in done.out
    assert "│[−2  0  2]│" in done.out
    default = run("show", "slide", "--image", CHELSEA, "--channel", 2)
    assert "149 × 224" in default.out


def test_show_in_a_narrow_terminal(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """One line."""
    monkeypatch.setenv("COLUMNS", "30")
    assert run("show", "slide") == Result(0, "a picture needs at least 40 columns; here are 30\n", "")


# --- explore


@pytest.mark.usefixtures("page")
def test_explore(run: Callable[..., Result], tmp_path: Path) -> None:
    """The page lies in the working folder; where, is printed; nothing opens where nobody looks."""
    path = tmp_path.resolve() / "im2col-explorer.html"
    assert run("explore") == Result(0, f"slide: (1, 3, 8, 8) by (4, 3, 3, 3) → {path}\n", "")
    assert path.read_text() == "<Illustration 'slide' of (1, 3, 8, 8) by (4, 3, 3, 3)> as .html"
    fails(
        run("explore"),
        "explore: cannot write 'im2col-explorer.html': it exists already; name another file, or pass --force to "
        "replace it",
    )
    other = tmp_path.resolve() / "b.html"
    options = ("--chapter", "matmul", "--image", CHELSEA, "--kernel", "sobel-x", "--padding", "same", "--lang", "zh")
    line = f"matmul: (3, 149, 224) by (3, 1, 3, 3) → {other}\n"
    assert run("explore", "-o", "b.html", *options, "--force", "--no-open") == Result(0, line, "")


@pytest.mark.usefixtures("page")
def test_explore_opens_a_browser(run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --open, and where somebody is at a screen unless --no-open says otherwise."""
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    address = (tmp_path.resolve() / "a b.html").as_uri()
    arguments = ("explore", "--force", "-o", "a b.html")
    assert run(*arguments, "--open").status == 0
    assert opened == [address]
    monkeypatch.setattr(pictures, "_someone_looks", lambda: True)
    assert run(*arguments, "--no-open").status == 0
    assert opened == [address]
    assert run(*arguments).status == 0
    assert opened == [address, address]


@pytest.mark.parametrize(
    ("platform", "terminal", "environment", "looks"),
    [
        ("linux", True, {"DISPLAY": ":0"}, True),
        ("linux", True, {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", True, {}, False),
        ("darwin", True, {}, True),
        ("win32", True, {}, True),
        ("darwin", False, {}, False),
        ("darwin", True, {"CI": "true"}, False),
    ],
)
def test_when_somebody_looks(
    monkeypatch: pytest.MonkeyPatch, platform: str, terminal: bool, environment: dict[str, str], looks: bool
) -> None:
    """At a terminal with a screen, and not in CI."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "CI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert pictures._someone_looks() is looks


# --- bad input


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("draw", "Missing argument 'CHAPTER'; try im2col draw --help"),
        ("draw slide", "Missing option '-o' / '--out'; try im2col draw --help"),
        ("show", "Missing argument 'CHAPTER'; try im2col show --help"),
        ("show glide", f"show: chapter must be one of {tuple(chapters())}, got 'glide'"),
        (
            "draw slide -o a.jpg",
            "draw: the ending '.jpg' of 'a.jpg' means no picture that is written here; use one of .svg, .png, .gif, "
            ".html, as in a.svg",
        ),
        (
            "draw slide -o no/a.svg",
            "draw: cannot write 'no/a.svg': there is no folder {folder}/no; make it first",
        ),
        ("show slide --shape 8,8 --image cat.png", "show: name one image: --shape, --image or --array"),
        ("show slide --array x.npy --image cat.png", "show: name one image: --shape, --image or --array"),
        (
            "show slide --shape 8,eight",
            "show: --shape must be whole numbers such as 1,3,224,224 or 1x3x224x224; got '8,eight'",
        ),
        ("show slide --shape 8,0", "show: --shape must be at least 1 along each axis; got '8,0'"),
        ("show slide --kernel 3x-3", "show: --kernel must be at least 1 along each axis; got '3x-3'"),
        (
            "show slide --kernel 3,,3",
            "show: --kernel must be whole numbers such as 1,3,224,224 or 1x3x224x224; got '3,,3'",
        ),
        (
            "show slide --kernel sobel",
            "show: --kernel must be a name or a .npy file, got 'sobel'; did you mean 'sobel-y' or 'sobel-x'?",
        ),
        (
            "show slide --kernel no.npy",
            "show: cannot read 'no.npy': No such file or directory; check the path and its permissions",
        ),
        (
            "explore --image no.png",
            "explore: cannot read 'no.png': No such file or directory; check the path and its permissions",
        ),
        ("show slide --step two", "show: --step must be a whole number or none; got 'two'"),
        ("show slide --step all", "show: --step must be a whole number or none; got 'all'"),
        ("draw slide -o a.svg --step two", "draw: --step must be a whole number, none or all; got 'two'"),
        (
            "show slide --step 16",
            "show: --step counts from 0 and there are 16 here, so it must be below 16; got 16",
        ),
        (
            "show slide --filter 1",
            "show: --filter counts from 0 and there are 1 here, so it must be below 1; got 1",
        ),
        ("show slide --labels words", "show: --labels must be 'values' or 'letters', got 'words'"),
        ("show slide --lang tlh", "show: --lang must be one of ('en', 'zh'), got 'tlh'"),
        ("show slide --groups 0", "show: --groups must be at least 1, got 0"),
        (
            "show slide --kernel blur --shape 1,4,8,8 --groups 3",
            "show: the image (1, 4, 8, 8) has 4 channels in layout 'NCHW' but the filters (3, 1, 5, 5) with --groups 3 "
            "read 3; pass w of shape (filters, channels/groups, *kernel)",
        ),
        (
            "explore --padding 1:2:3",
            "explore: --padding must be a whole number, one for each axis such as 1,2, before:after for each axis such "
            "as 1:2,0:3, or a name such as same; got '1:2:3'",
        ),
        (
            "explore --layout nchw",
            "explore: --layout must be distinct capital letters, N for the batch, C for the channels and at least one "
            "spatial axis, such as 'NCHW' or 'HW'; got 'nchw'",
        ),
    ],
)
def test_bad_input_is_one_line(run: Callable[..., Result], tmp_path: Path, arguments: str, line: str) -> None:
    """The whole line, status 2, nothing on standard output and no new file."""
    Image.new("RGB", (20, 30)).save(tmp_path / "cat.png")
    np.save(tmp_path / "x.npy", np.zeros((8, 8)))
    before = sorted(tmp_path.iterdir())
    fails(run(*arguments.split()), line.format(folder=tmp_path) if "{folder}" in line else line)
    assert sorted(tmp_path.iterdir()) == before
