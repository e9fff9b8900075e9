"""The main job: its figures are true, its check notices wrong results, its picture shows what was computed."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import im2col.demo
from im2col import FileError
from im2col.algorithms import registry
from im2col.algorithms.contract import at_most
from im2col.cli import main
from im2col.demo import Report, explored_weights, layer_weights, numpy_layer, run_demo, tiles
from im2col.photo.contact_sheet import Tile, write_contact_sheet
from im2col.photo.image_files import Photo
from im2col.photo.kernels import KERNELS

from .kit.convolutions import OF_ANY_WINDOW
from .kit.outcomes import raises_exactly, require
from .kit.selection import one_in
from .kit.targets import forget_choices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from im2col.algorithms.contract import Algorithm, Offer, Runner
    from im2col.engine.target import Target
    from im2col.spec.problem import Problem

BANK = [kernel for kernel in KERNELS.values() if kernel.name != "identity"]


def shorten(patch: pytest.MonkeyPatch) -> None:
    """Run every way once, and plain loops over few pixels: no test is about times."""
    patch.setattr(im2col.demo, "_REPEAT_SECONDS", 1e-9)
    patch.setattr(im2col.demo, "CROP", np.s_[:, 84:90, 164:171])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test measure for long."""
    shorten(monkeypatch)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Return the report of one run, in a folder that did not exist."""
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        return run_demo(tmp_path_factory.mktemp("demo") / "new" / "folder")


@pytest.mark.wide
def test_the_layer_is_a_real_one(report: Report) -> None:
    """At least 8 kernels over three colours, with stride and padding: shapes, sizes and duplication are right."""
    assert len(report.kernels) >= 8
    n = 3 * len(report.kernels)
    assert report.cost.output_shape == (n, 150, 226)
    assert report.cost.matrix_shape == (150 * 226, 75)
    assert report.cost.matrix_bytes == 150 * 226 * 75 * 4
    assert report.cost.duplication == 150 * 226 * 75 / (3 * 300 * 451)
    assert report.cost.flops == 2 * n * 150 * 226 * 75


def test_every_algorithm_has_a_row(report: Report) -> None:
    """All of the registry that know its stride, the whole matrix, and NumPy's own; only the plain loops see a crop."""
    assert [way.name for way in report.ways] == [*OF_ANY_WINDOW, "im2col @ weight_matrix", "NumPy's einsum"]
    for way in report.ways:
        assert way.image == ("7 × 6 crop" if way.name == "reference" else "whole")
        assert way.seconds > 0
        assert (way.planned_bytes is None) == (way.name == "NumPy's einsum")
        assert 0 <= way.difference <= way.tolerance < 0.1
    assert report.passed


def test_the_measured_memory_is_the_memory(report: Report) -> None:
    """The whole matrix was in memory once, and no way took more than planned but for a part in ten, nor much less."""
    ways = {way.name: way for way in report.ways}
    size = report.cost.matrix_bytes
    assert size <= ways["im2col @ weight_matrix"].measured_bytes < 1.1 * size
    for name in ("explicit", "implicit"):
        planned = ways[name].planned_bytes
        assert planned is not None
        # Threads of "explicit" need not hold all their blocks at once.
        assert 0.5 * (planned - 200_000) < ways[name].measured_bytes < 1.1 * planned
    assert ways["implicit"].measured_bytes < ways["explicit"].measured_bytes / 2


def test_the_report_says_it_all(report: Report) -> None:
    """Shapes, sizes, duplication, times, memory, differences, the tolerance, and where the picture is."""
    text = str(report)
    for part in (
        "photograph     chelsea.jpg, 451 × 300 RGB\n",
        "33 filters of 3 × 5 × 5 taps, stride 2, padding 2 (edge)\n",
        "output         33 maps of 226 × 150\n",
        "33900 positions × 75 taps, 9.7 MiB in float32; it holds each sample 6.26 times\n",
        "work           0.168 GFLOP\n",
        f"{report.ways[0].tolerance:.2g} is allowed",
        f"contact sheet  {report.sheet}\n",
        f"explorer       {report.page}: ",
    ):
        assert part in text
    for way in report.ways:
        (line,) = (line for line in text.splitlines() if line.startswith(f"{way.name}  "))
        assert line.endswith("  ok")
        assert f"{way.difference:.1e}" in line
    assert all(line == line.rstrip() for line in text.splitlines())


def test_the_layer_against_scipy() -> None:
    """What judges the algorithms is itself right, and so are the weights: each colour by itself."""
    ndimage = require("scipy.ndimage")
    x = np.random.default_rng(0).integers(0, 256, (3, 20, 24)).astype(float)
    maps = numpy_layer(x, layer_weights(BANK).astype(float)).reshape(len(BANK), 3, 10, 12)
    for kernel, result in zip(BANK, maps, strict=True):
        for colour in range(3):
            expected = ndimage.correlate(x[colour], kernel.weights / kernel.divisor, mode="nearest")[::2, ::2]
            np.testing.assert_allclose(result[colour], expected, rtol=0, atol=1e-3)


def test_the_pictures_are_the_maps() -> None:
    """Three maps make a colour picture; kernels that sum to zero show 0 as mid-grey; values are clipped."""
    photo = Photo(np.zeros((2, 2, 3), np.uint8))
    maps = np.arange(6.0).reshape(6, 1, 1) * 100 - 100
    original, blur, sobel = tiles(photo, [KERNELS["blur"], KERNELS["sobel-x"]], maps)
    assert (original.name, original.remark, original.weights) == ("original", "2 x 2", None)
    np.testing.assert_array_equal(blur.picture, [[[0, 0, 100]]])
    np.testing.assert_array_equal(sobel.picture, [[[255, 255, 255]]])
    assert (blur.remark, sobel.remark) == ("5 x 5", "3 x 3, 0 is mid-grey")
    np.testing.assert_array_equal(tiles(photo, [KERNELS["log"]], maps[:3])[1].picture, [[[28, 128, 228]]])


def test_the_contact_sheet(report: Report) -> None:
    """A PNG file of twelve pictures that are not empty."""
    assert report.sheet.name == "contact-sheet.png"
    assert {path.name for path in report.sheet.parent.iterdir()} == {"contact-sheet.png", "explorer.html"}
    with Image.open(report.sheet) as sheet:
        assert sheet.format == "PNG"
        assert sheet.mode == "RGB"
        pixels = np.asarray(sheet)
    assert pixels.shape[1] == 2 * 28 + 4 * 226 + 3 * 22
    for i in range(12):
        top, left = 98 + i // 4 * (150 + 46 + 22), 28 + i % 4 * (226 + 22)
        assert pixels[top : top + 150, left : left + 226].std() > 5
        assert (pixels[top : top + 150, left - 2] == 255).all()


def test_the_illustrated_page(report: Report) -> None:
    """The explorer holds the photograph, scaled down, and the four filters."""
    page = report.page.read_text("utf-8")
    data = json.loads(page.partition('id="im2col-data">')[2].partition("</script>")[0])
    assert (data["layer"]["channels"], data["layer"]["filters"]) == (3, 4)
    assert data["layer"]["spatial_shape"] == [149, 224]
    assert data["chapter"] == "matmul-channels"
    assert (explored_weights()[:, 0] == explored_weights()[:, 2]).all()
    np.testing.assert_array_equal(explored_weights()[1, 0], KERNELS["sobel-x"].weights)


def test_a_sheet_of_any_number_of_pictures(tmp_path: Path) -> None:
    """Rows fill from the left; the file is replaced only with force."""
    tile = Tile(np.zeros((40, 60, 3), np.uint8), "black", "a remark", np.array([[1.0, -2.0, 0.0]]))
    for count in (1, 4, 5):
        path = tmp_path / f"{count}.png"
        write_contact_sheet(path, "title", "remark", [tile] * count)
        with Image.open(path) as sheet:
            pixels = np.asarray(sheet)
        black = [(pixels[98 + 20 + i // 4 * 108, 28 + 30 + i % 4 * 82] == 0).all() for i in range(count)]
        assert all(black)
    with raises_exactly(
        FileError,
        f"write_contact_sheet: cannot write '{path}': it exists already; name another file, or pass force (--force) to "
        "replace it",
    ):
        write_contact_sheet(path, "title", "remark", [tile])


def test_a_second_run_replaces_the_picture_with_force(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make demo` may be called twice; a file of the user's own stays."""
    monkeypatch.setattr(im2col.demo, "_ways", lambda *_: report.ways)
    before = report.sheet.read_bytes()
    report.sheet.write_bytes(b"old")
    with raises_exactly(
        FileError,
        f"run_demo: cannot write '{report.sheet}': it exists already; name another file, or pass force (--force) to "
        "replace it",
    ):
        run_demo(report.sheet.parent)
    assert report.sheet.read_bytes() == b"old"
    assert run_demo(report.sheet.parent, force=True).sheet == report.sheet
    assert report.sheet.read_bytes() == before


class Planted:
    """An algorithm made of another one and a fault."""

    best_rank = at_most(0)

    def compiles(self, problem: Problem) -> bool:
        """Do as the other one."""
        return self.honest.compiles(problem)

    def __init__(self, honest: Algorithm[Runner], spoil: Callable[[NDArray[Any]], None]) -> None:
        self.name, self.honest, self.spoil = "planted", honest, spoil

    def offer(self, problem: Problem, target: Target | None, threads: int) -> Offer[Runner]:
        """Return the other algorithm's offer, with a fault."""
        offer = self.honest.offer(problem, target, threads)
        return offer._replace(prepare=partial(self.prepare, offer), kernels=None)

    def prepare(self, offer: Offer[Runner], *weights: NDArray[Any] | None) -> Runner:
        """Return what runs the other algorithm and spoils its result."""
        run = offer.prepare(*weights)

        def spoiled(x: NDArray[Any], out: NDArray[Any]) -> None:
            run(x, out)
            self.spoil(out)

        return spoiled


def _off(out: NDArray[Any]) -> None:
    out[0, 7, 3, 5] += 0.1


def _nan(out: NDArray[Any]) -> None:
    out[0, 7, 3, 5] = np.nan


@pytest.fixture
def fresh_choices() -> Iterator[None]:
    """Let algorithms be asked again, before and afterwards."""
    forget_choices()
    yield
    forget_choices()


@pytest.mark.usefixtures("fresh_choices")
@pytest.mark.parametrize(
    ("spoil", "status", "verdict"), one_in(2, [(_nan, 1, "WRONG"), (lambda _: None, 0, "ok"), (_off, 1, "WRONG")])
)
def test_a_new_algorithm_is_checked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[NDArray[Any]], None],
    status: int,
    verdict: str,
) -> None:
    """It gets a row of its own; one wrong value, or a NaN, is an exit status of 1."""
    found = {"explicit": registry()["explicit"], "planted": Planted(registry()["explicit"], spoil)}
    for module in ("algorithms", "layers.costs"):
        monkeypatch.setattr(f"im2col.{module}.registry", lambda: found)
    assert main(["demo", "--out", str(tmp_path)]) == status
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("planted "))
    assert line.endswith(f"  {verdict}")


def test_a_way_passes_only_with_a_number_within_the_tolerance(report: Report) -> None:
    """A NaN is not."""
    way = dataclasses.replace(report.ways[0], tolerance=0.5)
    assert dataclasses.replace(way, difference=0.5).passed
    assert not dataclasses.replace(way, difference=0.6).passed
    assert not dataclasses.replace(way, difference=float("nan")).passed
    assert not dataclasses.replace(report, ways=(way, dataclasses.replace(way, difference=1.0))).passed


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """Before any work."""
    (tmp_path / "file").write_text("")
    with raises_exactly(
        FileError, f"run_demo: cannot make the folder '{tmp_path}/file/x': Not a directory; name another"
    ):
        run_demo(tmp_path / "file/x")
