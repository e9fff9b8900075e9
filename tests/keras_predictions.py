"""What Keras predicts on its JAX backend, for tests where that is not installed.

``python -m tests.keras_predictions``, where Keras and JAX are, writes keras_predictions.json anew.
"""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).with_suffix(".json")
SIZES = {1: (7,), 2: (5, 6), 3: (3, 4, 3)}
FORMATS = ("channels_last", "channels_first")


def integers(*shape: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return small integers, of which sums are exact in any order."""
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(np.float32)


def image(k: int, channels: int, data_format: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return a batch of one image with k spatial axes."""
    return integers(1, *SIZES[k], channels) if data_format == "channels_last" else integers(1, channels, *SIZES[k])


def operations(keras: Any) -> dict[str, Callable[[], Any]]:
    """Return calls of Keras's operations, all windows in which backends differ; results are integers, or means."""
    ops = keras.ops
    calls: dict[str, Callable[[], Any]] = {}
    window: dict[str, Any]

    def add(name: str, *arguments: Any, **options: Any) -> None:
        told = ", ".join(f"{key}={value}" for key, value in options.items())
        calls[f"{name}{arguments[0].shape}: {told}"] = lambda: getattr(ops, name)(*arguments, **options)

    for k, data_format, padding in itertools.product(SIZES, FORMATS, ("same", "valid")):
        common = {"padding": padding, "data_format": data_format}
        spread = 2 if padding == "same" else 1
        for name, value in (("strides", 2), ("strides", (2, 1, 1)[:k]), ("dilation_rate", spread)):
            window = {name: value}
            add("conv", image(k, 4, data_format), integers(*(3, 2, 2)[:k], 2, 4, seed=1), **window, **common)
        add("depthwise_conv", image(k, 3, data_format), integers(*(2, 3, 2)[:k], 3, 2, seed=2), strides=2, **common)
        for size, strides in ((2, 2), (3, 2), (3, 1), ((3, 2, 2)[:k], (1, 2, 2)[:k])):
            for name in ("max_pool", "average_pool"):
                add(name, image(k, 2, data_format), pool_size=size, strides=strides, **common)
    windows = itertools.product((1, 2, 3, 4), (1, 2, 3), ("same", "valid"), (None, 0, 1), (1, 2))
    for size, strides, padding, output_padding, dilation in windows:
        if (output_padding or 0) < strides and (strides == 1 or dilation == 1):
            window = {"strides": strides, "output_padding": output_padding, "dilation_rate": dilation}
            add("conv_transpose", image(1, 2, "channels_last"), integers(size, 3, 2, seed=3), padding=padding, **window)
    for k, data_format in itertools.product((2, 3), FORMATS):
        kernel = integers(*(3, 2, 2)[:k], 2, 3, seed=4)
        for strides in (2, (1, 2, 1)[:k]):
            window = {"strides": strides, "padding": "same", "data_format": data_format}
            add("conv_transpose", image(k, 3, data_format), kernel, **window)
    return calls


def model(keras: Any) -> Any:
    """Return a small network with every layer that convolves or pools two axes, its weights given."""
    layers = keras.layers
    network = keras.Sequential(
        [
            layers.Input((13, 12, 3)),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
            layers.MaxPooling2D(2, padding="same"),
            layers.SeparableConv2D(8, 3, dilation_rate=2, padding="same", activation="gelu"),
            layers.Conv2DTranspose(6, 3, strides=2, padding="same"),
            layers.AveragePooling2D(3, strides=2, padding="same"),
            layers.Conv2D(4, 2, groups=2),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(5)
    network.set_weights([rng.uniform(0.1, 0.5, w.shape) * rng.choice([-1, 1], w.shape) for w in network.get_weights()])
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([np.abs(w) for w in layer.get_weights()])
    return network


def photographs() -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return what the network predicts classes of."""
    return np.random.default_rng(6).standard_normal((4, 13, 12, 3)).astype(np.float32)


def predictions(keras: Any) -> dict[str, Any]:
    """Return the shape and the numbers of every result."""
    found = {name: np.asarray(keras.ops.convert_to_numpy(call())) for name, call in operations(keras).items()}
    found["model"] = model(keras).predict(photographs(), verbose=0)
    return {name: [list(each.shape), *(float(f"{n:.9g}") for n in each.ravel())] for name, each in found.items()}


def main() -> None:
    """Write what JAX gives."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    lines = (f"{json.dumps(name)}: {json.dumps(each)}" for name, each in predictions(keras).items())
    PAGE.write_text("{\n" + ",\n".join(lines).replace(".0,", ",").replace(".0]", "]") + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
