"""Train a small convolutional network on handwritten digits, from scratch: NumPy, im2col and nothing else.

    python examples/train_digits.py --out digits-out

The images are scikit-learn's, 1797 digits of 8×8 pixels, of which 360 are kept for the test. The network:

    image → convolution 5×5, relu → convolution 3×3, relu → max pooling 2×2 → dense → softmax, cross-entropy

A layer has two methods. ``forward`` computes its result, and remembers what the way back needs. ``backward`` takes the
gradient of the loss in that result, and returns the gradient in the layer's input and, by name, those in its
parameters. The last layer's result is the first to know its gradient; from there the way back is the chain rule.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np

from im2col import col2im, conv, conv_bias_gradient, conv_input_gradient, conv_weight_gradient, illustrate, patches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import DTypeLike, NDArray

    Array = NDArray[Any]
    Arrays = dict[str, Array]

BATCH, RATE, MOMENTUM = 32, 0.05, 0.9
TEST_IMAGES = 360
LINE, INK = "#d6dae0", "#146eaa"
BELOW, ABOVE = np.array((20, 110, 170)), np.array((230, 150, 20))
"""The colours of the most negative and of the most positive number; zero is white."""


class Conv:
    """A convolution that keeps the image's size, and its relu: filters `w` (F, C, k, k), k odd, and biases `b` (F,)."""

    def __init__(self, w: Array, b: Array) -> None:
        self.parameters = {"w": w, "b": b}

    def forward(self, x: Array) -> Array:
        """Return the maps (N, F, H, W) of images (N, C, H, W)."""
        self.x = x
        self.y = conv(x, self.parameters["w"], self.parameters["b"], padding="same", activation="relu")
        return self.y

    def backward(self, grad: Array) -> tuple[Array, Arrays]:
        """Return the gradients: where relu gave 0 nothing comes back, the rest through the convolution's adjoints."""
        w = self.parameters["w"]
        grad = grad * (self.y > 0)
        return conv_input_gradient(grad, w, self.x.shape, padding="same"), {
            "w": conv_weight_gradient(self.x, grad, w.shape[2:], padding="same"),
            "b": conv_bias_gradient(grad),
        }


class MaxPool:
    """The greatest pixel of each 2×2 window.

    Windows with several greatest pixels are common, since relu makes zeros. All of the gradient then goes to the
    first in row-major order: the one that ``argmax`` returns, and that torch takes.
    """

    def __init__(self) -> None:
        self.parameters: Arrays = {}

    def forward(self, x: Array) -> Array:
        """Return (N, C, H/2, W/2) of images (N, C, H, W)."""
        self.shape = x.shape
        windows = patches(x, 2, stride=2)  # (N, H/2, W/2, C, 2, 2): a view
        windows = windows.reshape(*windows.shape[:4], 4)
        self.winners = windows.argmax(-1, keepdims=True)
        return np.take_along_axis(windows, self.winners, -1)[..., 0].transpose(0, 3, 1, 2)

    def backward(self, grad: Array) -> tuple[Array, Arrays]:
        """Return the gradient: each window's goes to its winner. The way back from patches to an image is `col2im`."""
        windows = (self.winners == np.arange(4)) * grad.transpose(0, 2, 3, 1)[..., None]
        n, height, width, channels, taps = windows.shape
        return col2im(windows.reshape(n, height * width, channels * taps), self.shape, 2, stride=2), {}


class Dense:
    """A matrix product over all that an image has become: weights `w` (inputs, outputs) and biases `b` (outputs,)."""

    def __init__(self, w: Array, b: Array) -> None:
        self.parameters = {"w": w, "b": b}

    def forward(self, x: Array) -> Array:
        """Return (N, outputs) of (N, …), which is flattened to (N, inputs)."""
        self.shape, self.x = x.shape, x.reshape(len(x), -1)
        return self.x @ self.parameters["w"] + self.parameters["b"]

    def backward(self, grad: Array) -> tuple[Array, Arrays]:
        """Return the gradients: two matrix products and a sum."""
        back: Array = grad @ self.parameters["w"].T
        return back.reshape(self.shape), {"w": self.x.T @ grad, "b": grad.sum(0)}


def cross_entropy(scores: Array, labels: Array) -> tuple[float, Array]:
    """Return the loss of a minibatch and its gradient in the scores.

    Parameters
    ----------
    scores : ndarray, (N, classes)
        The logarithms of the classes' probabilities, up to a constant for each image.
    labels : ndarray, (N,), int
        The true classes.

    Returns
    -------
    loss : float
        The mean of -log(probability of the true class).
    grad : ndarray, (N, classes)
        (probability - truth) / N.

    Examples
    --------
    >>> loss, grad = cross_entropy(np.log([[0.5, 0.25, 0.25]]), np.array([0]))
    >>> round(loss, 4), grad
    (0.6931, array([[-0.5 ,  0.25,  0.25]]))
    """
    truth = np.arange(len(scores)), labels
    scores = scores - scores.max(1, keepdims=True)  # the same softmax, and no exponential overflows
    log_probability = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    grad = np.exp(log_probability)
    grad[truth] -= 1
    return -float(log_probability[truth].mean()), grad / len(scores)


class Model:
    """The network.

    Parameters
    ----------
    rng : Generator
        Draws the first weights with variance 2 / (inputs of a sum), which keeps the size of what passes a relu.
    dtype : dtype
        float32 or float64.

    Attributes
    ----------
    layers : dict
        By name, in order.
    parameters : dict of ndarray
        ``"conv1.w"``, ``"conv1.b"`` and so on: the layers' own arrays, to be changed in place.
    """

    def __init__(self, rng: np.random.Generator, dtype: DTypeLike) -> None:
        def weights(*shape: int, inputs: int) -> Array:
            drawn: Array = rng.standard_normal(shape) * np.sqrt(2 / inputs)
            return drawn.astype(dtype)

        self.layers: dict[str, Conv | MaxPool | Dense] = {
            "conv1": Conv(weights(16, 1, 5, 5, inputs=25), np.zeros(16, dtype)),
            "conv2": Conv(weights(32, 16, 3, 3, inputs=144), np.zeros(32, dtype)),
            "pool": MaxPool(),
            "dense": Dense(weights(512, 10, inputs=512), np.zeros(10, dtype)),
        }
        self.parameters = {
            f"{name}.{key}": array for name, layer in self.layers.items() for key, array in layer.parameters.items()
        }

    def forward(self, images: Array) -> Array:
        """Return the scores (N, 10) of images (N, 1, 8, 8)."""
        for layer in self.layers.values():
            images = layer.forward(images)
        return images

    def backward(self, grad: Array) -> Arrays:
        """Return the gradient in every parameter, given that in the scores of the last `forward`."""
        gradients: Arrays = {}
        for name, layer in reversed(self.layers.items()):
            grad, own = layer.backward(grad)
            gradients |= {f"{name}.{key}": array for key, array in own.items()}
        return gradients


def load(rng: np.random.Generator, dtype: DTypeLike) -> tuple[Array, Array, Array, Array]:
    """Return images (N, 1, 8, 8) in 0…1 and labels (N,) to learn, then those of the test; `rng` shuffles them."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = rng.permutation(len(digits.target))
    images, labels = (digits.images[order, None] / 16).astype(dtype), digits.target[order]
    return images[TEST_IMAGES:], labels[TEST_IMAGES:], images[:TEST_IMAGES], labels[:TEST_IMAGES]


def minibatches(count: int, epochs: int, rng: np.random.Generator) -> Iterator[Array]:
    """Yield the indices of each minibatch; every epoch shuffles anew."""
    for _ in range(epochs):
        order = rng.permutation(count)
        yield from (order[start : start + BATCH] for start in range(0, count, BATCH))


def train(model: Model, images: Array, labels: Array, *, epochs: int, rng: np.random.Generator) -> Iterator[float]:
    """Improve the model by stochastic gradient descent with momentum; yield each minibatch's loss before its step."""
    velocity = {name: np.zeros_like(array) for name, array in model.parameters.items()}
    for batch in minibatches(len(images), epochs, rng):
        loss, grad = cross_entropy(model.forward(images[batch]), labels[batch])
        for name, gradient in model.backward(grad).items():
            velocity[name] *= MOMENTUM
            velocity[name] += gradient
            model.parameters[name] -= RATE * velocity[name]
        yield loss


def accuracy(model: Model, images: Array, labels: Array) -> float:
    """Return the share of images whose label has the highest score."""
    return float(np.mean(model.forward(images).argmax(1) == labels))


def add(parent: ET.Element, tag: str, text: str = "", **attributes: object) -> ET.Element:
    """Add an SVG element; numbers are rounded, and an underscore in an attribute's name stands for a hyphen."""
    values = (f"{value:.5g}" if isinstance(value, float) else str(value) for value in attributes.values())
    names = (name.replace("_", "-") for name in attributes)
    child = ET.SubElement(parent, tag, dict(zip(names, values, strict=True)))
    child.text = text
    return child


def blank(width: int, height: int, title: str) -> ET.Element:
    """Return an SVG picture of nothing but its title."""
    svg = ET.Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width} {height}")
    svg.set("font-family", "sans-serif")
    add(svg, "rect", width=width, height=height, fill="white")
    add(svg, "text", title, x=20, y=32, font_size=17)
    return svg


def draw_losses(losses: Sequence[float]) -> ET.Element:
    """Draw the loss of each minibatch on a logarithmic axis."""
    logs = np.log10(np.maximum(losses, 1e-6))
    low, high = int(np.floor(logs.min())), int(np.ceil(logs.max()))
    scale = 280 / (high - low)
    svg = blank(680, 380, f"The loss of each minibatch, {len(losses)} in all")
    for power in range(low, high + 1):
        y = 340 - scale * (power - low)
        add(svg, "path", d=f"M70 {y:.1f}H660", stroke=LINE)
        add(svg, "text", f"{10.0**power:g}", x=62, y=y + 4, font_size=12, text_anchor="end")
    points = zip(np.linspace(70, 660, len(losses)), 340 - scale * (logs - low), strict=True)
    add(svg, "polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points), fill="none", stroke=INK)
    return svg


def draw_grid(svg: ET.Element, left: float, top: float, values: Array) -> None:
    """Draw a square matrix: blue below zero, orange above, the stronger the fuller."""
    side, greatest = 100 / len(values), np.abs(values).max() or 1
    for (y, x), value in np.ndenumerate(values):
        red, green, blue = 255 + ((ABOVE if value > 0 else BELOW) - 255) * abs(value) / greatest
        cell = add(svg, "rect", x=left + x * side, y=top + y * side, width=side, height=side, stroke=LINE)
        cell.set("fill", f"rgb({red:.0f},{green:.0f},{blue:.0f})")


def draw_filters(filters: Array, image: Array, maps: Array) -> ET.Element:
    """Draw the first layer's filters (16, 5, 5), and under each the map (16, 8, 8) that it makes of an image (8, 8)."""
    svg = blank(1010, 515, "The filters of the first layer, and under each what it makes of the digit")
    draw_grid(svg, 20, 55, image)
    for i in range(len(filters)):
        left, top = 150 + i % 8 * 107, 55 + i // 8 * 230
        draw_grid(svg, left, top, filters[i])
        draw_grid(svg, left, top + 107, maps[i])
    return svg


def main(argv: Sequence[str] | None = None) -> float:
    """Train as the command line says, and return the share of test images that are told right."""
    parser = argparse.ArgumentParser(description="Train a small convolutional network on digits of 8×8 pixels.")
    parser.add_argument("--epochs", type=int, default=12, help="how often each image is seen (default: 12)")
    parser.add_argument("--seed", type=int, default=0, help="what is drawn at random follows from it (default: 0)")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="(default: float32)")
    parser.add_argument("--out", type=Path, help="a folder for the pictures: loss.svg, filters.svg, slide.svg")
    options = parser.parse_args(argv)
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")

    rng = np.random.default_rng(options.seed)
    images, labels, test_images, test_labels = load(rng, options.dtype)
    model = Model(rng, options.dtype)
    started = time.perf_counter()
    losses = list(train(model, images, labels, epochs=options.epochs, rng=rng))
    seconds, share = time.perf_counter() - started, accuracy(model, test_images, test_labels)
    print(f"{len(losses)} steps in {seconds:.1f} s, loss {losses[0]:.3f} → {losses[-1]:.3f}, test accuracy {share:.1%}")

    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        digit, filters = test_images[0, 0], model.parameters["conv1.w"][:, 0]
        maps = model.layers["conv1"].forward(test_images[:1])[0]
        ET.ElementTree(draw_losses(losses)).write(options.out / "loss.svg", "utf-8")
        ET.ElementTree(draw_filters(filters, digit, maps)).write(options.out / "filters.svg", "utf-8")
        slide = illustrate(digit, filters[0], chapter="slide", step=27, padding="same", colours="values")
        slide.save(options.out / "slide.svg", force=True)
    return share


if __name__ == "__main__":
    main()
