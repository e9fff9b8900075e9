"""The example that trains a network: its accuracy, torch beside it, its layers' gradients, its pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from examples.train_digits import (
    MOMENTUM,
    RATE,
    Conv,
    Dense,
    MaxPool,
    Model,
    accuracy,
    cross_entropy,
    draw_grid,
    load,
    main,
    minibatches,
    train,
)

from .kit.outcomes import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

RNG = np.random.default_rng(7)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def calm_torch(torch: Any) -> Iterator[Any]:
    """Return torch with one thread: on a busy machine, several wait for each other in layers as small as these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[float, Path]:
    """Run the example as it stands; return the accuracy and the folder of its pictures."""
    require("sklearn")
    folder = tmp_path_factory.mktemp("digits") / "new"
    return main(["--out", str(folder)]), folder


@pytest.mark.wide
def test_learns_to_read_digits(trained: tuple[float, Path]) -> None:
    """Of 360 digits that it has not seen, it tells at least 97 % right."""
    assert trained[0] >= 0.97


@pytest.mark.wide
def test_an_untrained_network_guesses() -> None:
    """The accuracy is the network's, not the measure's."""
    require("sklearn")
    rng = np.random.default_rng(0)
    *_, images, labels = load(rng, "float32")
    assert accuracy(Model(rng, "float32"), images, labels) < 0.3


@pytest.mark.parametrize(("dtype", "steps", "tolerance"), [("float64", 100, 1e-9), ("float32", 10, 1e-4)])
def test_trains_as_torch_does(calm_torch: Any, dtype: str, steps: int, tolerance: float) -> None:
    """From the same parameters, over the same minibatches, by torch's own layers, gradients and optimizer."""
    require("sklearn")
    torch = calm_torch
    rng = np.random.default_rng(0)
    images, labels, *_ = load(rng, dtype)
    model = Model(rng, dtype)
    twin = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 5, padding=2),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(512, 10),
    ).to(getattr(torch, dtype))
    names = ("conv1.w", "conv1.b", "conv2.w", "conv2.b", "dense.w", "dense.b")
    with torch.no_grad():
        for name, parameter in zip(names, twin.parameters(), strict=True):
            # torch keeps a dense layer's weights as (outputs, inputs).
            array = model.parameters[name].T if name == "dense.w" else model.parameters[name]
            parameter.copy_(torch.from_numpy(array.copy()))
    optimizer = torch.optim.SGD(twin.parameters(), lr=RATE, momentum=MOMENTUM)

    ours = train(model, images, labels, epochs=3, rng=np.random.default_rng(1))
    batches = minibatches(len(images), 3, np.random.default_rng(1))
    for _, loss, batch in zip(range(steps), ours, batches, strict=False):
        theirs = torch.nn.functional.cross_entropy(
            twin(torch.from_numpy(images[batch])), torch.from_numpy(labels[batch])
        )
        optimizer.zero_grad()
        theirs.backward()
        optimizer.step()
        assert loss == pytest.approx(theirs.item(), rel=tolerance, abs=0)
    for name, parameter in zip(names, twin.parameters(), strict=True):
        array, expected = model.parameters[name], parameter.detach().numpy()
        assert array.dtype == dtype
        np.testing.assert_allclose(
            array, expected.T if name == "dense.w" else expected, rtol=0, atol=tolerance * np.abs(expected).max()
        )


def test_the_seed_decides() -> None:
    """The same seed, the same losses; another, others."""
    images, labels = RNG.random((70, 1, 8, 8), np.float32), RNG.integers(0, 10, 70)

    def losses(seed: int) -> list[float]:
        rng = np.random.default_rng(seed)
        return list(train(Model(rng, "float32"), images, labels, epochs=2, rng=rng))

    assert losses(0) == losses(0) != losses(1)
    assert len(losses(0)) == 6


def test_every_epoch_meets_every_image_once() -> None:
    """In another order each time; the last minibatch is a smaller one."""
    first, second = np.split(np.concatenate(list(minibatches(70, 2, np.random.default_rng(0)))), 2)
    np.testing.assert_array_equal(np.sort(first), np.arange(70))
    np.testing.assert_array_equal(np.sort(second), np.arange(70))
    assert (first != second).any()


def slopes(function: Callable[[], float], array: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Return the central differences of a function of `array`, which is changed in place and restored."""
    result = np.empty_like(array)
    for index, value in np.ndenumerate(array):
        array[index] = value + step
        above = function()
        array[index] = value - step
        result[index] = (above - function()) / (2 * step)
        array[index] = value
    return result


def integers(*shape: int) -> NDArray[np.float64]:
    """Draw whole numbers from -3 to 3."""
    return RNG.integers(-3, 4, shape).astype(np.float64)


# No step crosses a kink: whole numbers and biases of a half keep every sum at least 0.5 away from relu's, and the
# pixels of the pool are at least 1 apart. All the functions are linear between kinks, so that wide steps are exact.
LAYERS: list[tuple[Conv | MaxPool | Dense, NDArray[np.float64]]] = [
    (Conv(integers(4, 3, 3, 3), integers(4) + 0.5), integers(2, 3, 6, 5)),
    (Conv(integers(2, 1, 5, 5), integers(2) + 0.5), integers(3, 1, 4, 7)),
    (MaxPool(), RNG.permutation(2 * 3 * 4 * 6).reshape(2, 3, 4, 6).astype(np.float64)),
    (Dense(integers(24, 5), integers(5)), integers(3, 2, 3, 4)),
]


@pytest.mark.parametrize(("layer", "x"), LAYERS, ids=["conv-3x3", "conv-5x5", "pool", "dense"])
def test_gradients_of_layers_are_slopes(layer: Conv | MaxPool | Dense, x: NDArray[np.float64]) -> None:
    """In the input and in every parameter, element by element."""
    outer = RNG.standard_normal(layer.forward(x).shape)

    def function() -> float:
        return float(np.vdot(outer, layer.forward(x)))

    step = 2.0**-10
    expected = {name: slopes(function, array, step) for name, array in layer.parameters.items()}
    expected_back = slopes(function, x, step)
    layer.forward(x)
    back, gradients = layer.backward(outer)
    np.testing.assert_allclose(back, expected_back, rtol=1e-9, atol=1e-9)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-9, atol=1e-9)


def test_gradient_of_the_loss_is_its_slope() -> None:
    """Element by element, the first, the last and a repeated class among the labels."""
    scores, labels = 3 * RNG.standard_normal((4, 6)), np.array([0, 5, 2, 2])
    _, grad = cross_entropy(scores, labels)
    np.testing.assert_allclose(
        grad, slopes(lambda: cross_entropy(scores, labels)[0], scores, 1e-5), rtol=1e-8, atol=1e-9
    )


def test_the_loss_of_great_scores_is_finite() -> None:
    """Their exponentials would not be."""
    loss, grad = cross_entropy(np.array([[1e4, -1e4, 0.0]]), np.array([1]))
    assert loss == 2e4
    np.testing.assert_array_equal(grad, [[1, -1, 0]])


def test_a_tie_in_the_pool_goes_to_the_first_maximum(torch: Any) -> None:
    """Of zeros and ones, three windows in four have several greatest pixels. torch, too, takes the first."""
    x, outer = RNG.integers(0, 2, (3, 2, 6, 8)).astype(np.float64), RNG.standard_normal((3, 2, 3, 4))
    twin = torch.from_numpy(x).requires_grad_()
    expected = torch.nn.functional.max_pool2d(twin, 2)
    expected.backward(torch.from_numpy(outer))
    pool = MaxPool()
    np.testing.assert_array_equal(pool.forward(x), expected.detach().numpy())
    np.testing.assert_array_equal(pool.backward(outer)[0], twin.grad.numpy())


def opened(path: Path) -> ET.Element:
    """Return the root of an SVG file."""
    root = ET.parse(path).getroot()  # noqa: S314 (written by the example)
    assert root.tag == f"{SVG}svg"
    return root


def test_draws_the_losses(trained: tuple[float, Path]) -> None:
    """One point a minibatch, from left to right and from top to bottom, inside the picture."""
    root = opened(trained[1] / "loss.svg")
    line = root.find(f"{SVG}polyline")
    assert line is not None
    points = np.array([point.split(",") for point in line.attrib["points"].split()], float)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert points.shape == (12 * 45, 2)
    assert (points >= 0).all()
    assert (points <= (width, height)).all()
    assert (np.diff(points[:, 0]) > 0).all()
    # Further down is a lower loss.
    assert points[-45:, 1].mean() > points[:45, 1].mean() + height / 4
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts[0] == "The loss of each minibatch, 540 in all"
    assert "1" in texts


def test_draws_the_filters(trained: tuple[float, Path]) -> None:
    """The digit, 16 filters and 16 maps, cell by cell, none over another, inside the picture."""
    root = opened(trained[1] / "filters.svg")
    background, *cells = root.iter(f"{SVG}rect")
    assert len(cells) == 64 + 16 * (25 + 64)
    assert len({cell.attrib["fill"] for cell in cells}) > 100
    x, y, side = np.array([[float(cell.attrib[name]) for name in ("x", "y", "width")] for cell in cells]).T
    assert (x + side < float(background.attrib["width"])).all()
    assert (y + side < float(background.attrib["height"])).all()
    # Two cells lie over each other where both their columns and their rows do; each does with itself.
    over = [np.minimum.outer(start + side, start + side) - np.maximum.outer(start, start) > 0.1 for start in (x, y)]
    assert np.count_nonzero(over[0] & over[1]) == len(cells)


def test_draws_a_learnt_filter_at_work(trained: tuple[float, Path]) -> None:
    """A number in every cell of the padded digit, the filter and the map."""
    root = opened(trained[1] / "slide.svg")
    assert sum(1 for _ in root.iter(f"{SVG}text")) > 12 * 12 + 25 + 64


@pytest.mark.parametrize(
    ("values", "colours"),
    [
        ([[-2, 0], [1, 4]], ["rgb(138,182,212)", "rgb(255,255,255)", "rgb(249,229,196)", "rgb(230,150,20)"]),
        ([[0]], ["rgb(255,255,255)"]),
    ],
)
def test_the_stronger_the_fuller(values: Sequence[Sequence[int]], colours: list[str]) -> None:
    """Blue below zero, orange above, white at zero; row by row."""
    svg = ET.Element("svg")
    draw_grid(svg, 5, 7, np.array(values, float))
    cells = list(svg)
    assert [cell.attrib["fill"] for cell in cells] == colours
    side = 100 // len(values)
    places = [(cell.attrib["x"], cell.attrib["y"], cell.attrib["width"]) for cell in cells]
    assert places == [(str(5 + x * side), str(7 + y * side), str(side)) for y, x in np.ndindex(np.shape(values))]


def test_refuses_to_train_for_no_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    """The command line says why."""
    with pytest.raises(SystemExit):
        main(["--epochs", "0"])
    assert capsys.readouterr().err.endswith("error: --epochs must be at least 1\n")
