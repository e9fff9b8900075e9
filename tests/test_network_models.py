"""Networks of others, within 1e-4 of ONNX Runtime: a reader of text, a listener to music, classifiers of images."""

from __future__ import annotations

import doctest
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from .kit.onnx_models import by_onnxruntime
from .kit.outcomes import missing, require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

F4 = np.dtype("f4")
TOLERANCE = 1e-4
RAPIDOCR = "rapidocr_onnxruntime/models/ch_"


def path_of(file: str) -> Path:
    """Return a file of an installed package, which is not imported: it would want more than its files."""
    package, _, rest = file.partition("/")
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        missing(f"{package} is not installed; pip install --no-deps {package.replace('_', '-')}")
    return Path(found.submodule_search_locations[0]) / rest


def page(width: int, height: int) -> Array:
    """Return a photograph with lines of text on it, (height, width, 3), from 0 to 255."""
    from PIL import Image, ImageDraw, ImageFont

    import im2col

    data = Path(im2col.__file__).parent / "data"
    image = Image.open(data / "chelsea.jpg").convert("RGB").resize((width, height))
    font = ImageFont.truetype(str(data / "im2col-sans.otf"), height // 8)
    draw = ImageDraw.Draw(image)
    for line, text in enumerate(("convolution", "im2col 2026", "matrix")):
        draw.text(
            (width // 10, height * (1 + 3 * line) // 10), text, (255, 255, 255), font, stroke_width=2, stroke_fill=0
        )
    return np.asarray(image)


def normalized(image: Array) -> Array:
    """Return an image as the reader's networks take it: (1, 3, height, width), from -1 to 1."""
    return np.ascontiguousarray((image / np.float32(127.5) - 1).astype(F4).transpose(2, 0, 1)[None])


def assert_the_runtimes_numbers(path: Path, *inputs: Array) -> list[Array]:
    """Assert that a network gives what the runtime gives, twice, and return it."""
    onnx = require("onnx")
    from im2col.integrations import onnx as ours

    network = ours.load(path)
    model = onnx.load(path)
    results: list[Array] = []
    expected = by_onnxruntime(model, {each.name: x for each, x in zip(network.inputs, inputs, strict=True)})
    for _ in range(2):
        results = list(network.run(dict(zip([each.name for each in network.inputs], inputs, strict=True))).values())
        for mine, theirs in zip(results, expected, strict=True):
            assert mine.shape == theirs.shape
            assert mine.dtype == theirs.dtype
            np.testing.assert_allclose(mine, theirs, rtol=TOLERANCE, atol=TOLERANCE)
    return results


def test_the_detector_of_text() -> None:
    """On photographs of two sizes; it marks pixels of the text."""
    for size in ((320, 192), (224, 160)):
        (found,) = assert_the_runtimes_numbers(path_of(f"{RAPIDOCR}PP-OCRv4_det_infer.onnx"), normalized(page(*size)))
    assert found.max() > 0.8
    assert 0.01 < (found > 0.3).mean() < 0.5


@pytest.mark.parametrize("width", [320, 96])
def test_the_reader_of_lines(width: int) -> None:
    """Of lines of any length, several at once."""
    lines = np.concatenate([normalized(page(width, 48 * 3)[48 * n : 48 * n + 48]) for n in range(3)])
    (letters,) = assert_the_runtimes_numbers(path_of(f"{RAPIDOCR}PP-OCRv4_rec_infer.onnx"), lines)
    np.testing.assert_allclose(letters.sum(-1), 1, rtol=1e-4)


def test_the_classifier_of_lines() -> None:
    """Upright or upside down."""
    line = normalized(page(192, 48 * 3)[48:96])
    assert_the_runtimes_numbers(
        path_of(f"{RAPIDOCR}ppocr_mobile_v2.0_cls_infer.onnx"), np.concatenate([line, line[:, :, ::-1]])
    )


def test_the_listener_to_music() -> None:
    """Two windows of two seconds of a chord."""
    time = np.arange(43844) / 22050
    chord = np.sin(2 * np.pi * np.outer((220, 277.2, 329.6), time)).mean(0)
    sound = np.stack([chord, chord[::-1] / 2]).astype(F4)[..., None]
    notes = assert_the_runtimes_numbers(path_of("basic_pitch/saved_models/icassp_2022/nmp.onnx"), sound)
    assert max(each.max() for each in notes) > 0.3


def test_the_page_that_reads_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks, and what stands between them, read the lines on a photograph."""
    path_of(RAPIDOCR)
    image = require("PIL.Image")
    monkeypatch.chdir(tmp_path)
    image.fromarray(page(640, 384)).save("photo.png")
    file = Path(__file__).parents[1] / "docs/reading-text.md"
    failed, tried = doctest.testfile(str(file), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0
    assert tried >= 15


LIGHT = ("densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet", "vgg19", "zfnet512")


@pytest.mark.wide
@pytest.mark.parametrize("name", ["bvlc_alexnet", *LIGHT])
def test_the_light_classifiers(name: str) -> None:
    """Those that onnx brings along, whose weights are made up when they run."""
    require("onnx")
    path = path_of(f"onnx/backend/test/data/light/light_{name}.onnx")
    x = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(F4)
    assert_the_runtimes_numbers(path, x)
