"""Keras 3 on its NumPy backend, without JAX: its convolutions, transposes and pools by this library.

That backend leaves these operations to ``jax.lax``, and cannot be imported where JAX is not installed. `load_keras`
imports Keras with names for what it asks of JAX while it loads, and puts functions of this library in the place of
those that would call it.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, MissingExtraError, ShapeError, words_of
from ..importing import importing
from ..layers.convolution import conv as _conv
from ..layers.pooling import average_pool as _average_pool
from ..layers.pooling import max_pool as _max_pool
from ..layers.transpose import conv_transpose as _conv_transpose

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Window = int | Sequence[int]

_BACKEND = "keras.src.backend.numpy"
_NEEDY = f"{_BACKEND}.nn", f"{_BACKEND}.math"
"""The modules of Keras that ask for JAX."""


def load_keras() -> ModuleType:
    """Return Keras on its NumPy backend, with the convolutions, transposes and pools of this library.

    Returns
    -------
    module
        ``keras``, as any later import finds it.

    Raises
    ------
    MissingExtraError
        If Keras is not installed, or not one that this knows.
    ArgumentError
        If it has been imported with another backend.

    Examples
    --------
    >>> from im2col.integrations.keras import load_keras
    >>> keras = load_keras()
    >>> keras.backend.backend()
    'numpy'
    """
    loaded = sys.modules.get("keras")
    keras = _imported() if loaded is None else loaded
    backend = sys.modules.get(f"{_BACKEND}.nn")
    if backend is None:
        raise ArgumentError(
            "Keras has been imported with another backend than 'numpy'; call load_keras() before anything imports Keras"
        )
    for name, function in _FUNCTIONS.items():
        setattr(backend, name, function)
    return keras


def _imported() -> ModuleType:
    """Import Keras with its NumPy backend, which it reads from the environment once."""
    finder: Any = _WithoutJax()
    with importing:
        asked = os.environ.get("KERAS_BACKEND")
        os.environ["KERAS_BACKEND"] = "numpy"
        sys.meta_path.insert(0, finder)
        try:
            import keras
        except ImportError as cause:
            raise MissingExtraError(
                f"this needs Keras ({words_of(cause)}); install it with pip install 'im2col[keras]'"
            ) from cause
        finally:
            sys.meta_path.remove(finder)
            if asked is None:
                del os.environ["KERAS_BACKEND"]
            else:
                os.environ["KERAS_BACKEND"] = asked
    found: ModuleType = keras
    return found


class _WithoutJax:
    """Finds the modules that ask for JAX, and lets them run where its name stands for nothing.

    Nobody else meets that name: it is gone when their bodies have run.
    """

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return how a module of `_NEEDY` is imported; None for all others."""
        spec = PathFinder.find_spec(name, path, target) if name in _NEEDY else None
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module
            loader.exec_module = lambda module: _executed(execute, module)
        return spec


def _executed(execute: Callable[[ModuleType], None], module: ModuleType) -> None:
    """Run a module's body while names of JAX, and of Keras's backend for it, are there."""
    names = {
        name: ModuleType(name) for name in ("jax", "jax.lax", "keras.src.backend.jax", "keras.src.backend.jax.math")
    }
    vars(names["jax"])["lax"] = names["jax.lax"]
    vars(names["keras.src.backend.jax.math"]).update(fft=_fft(np.fft.fft), fft2=_fft(np.fft.fft2))
    before = {name: sys.modules.get(name) for name in names}
    sys.modules.update(names)
    try:
        execute(module)
    finally:
        for name, there in before.items():
            if there is None:
                del sys.modules[name]
            else:
                sys.modules[name] = there


def _fft(transform: Callable[[Array], Array]) -> Callable[[tuple[Array, Array]], tuple[Array, Array]]:
    """Return a transform of complex numbers as one of their parts, as Keras has them."""

    def parts(x: tuple[Array, Array]) -> tuple[Array, Array]:
        result = transform(x[0] + 1j * x[1])
        return result.real, result.imag

    return parts


def _arguments(*tensors: Any, data_format: str | None) -> tuple[Any, ...]:
    """Return tensors as arrays, and the layout of the first one."""
    with importing:
        from keras.src import backend

    arrays = [np.asarray(backend.convert_to_tensor(each)) for each in tensors]
    if arrays[0].ndim < 3:
        raise ShapeError(f"inputs must have a batch, spatial axes and channels, got the shape {arrays[0].shape}")
    spatial = "ABCDHW"[-(arrays[0].ndim - 2) :]
    first = backend.standardize_data_format(data_format) == "channels_first"
    return *arrays, f"NC{spatial}" if first else f"N{spatial}C"


def _filters(kernel: Array) -> Array:
    """Return a kernel (*spatial, in, out), or (*spatial, out, in) of a transpose, as the library has weights."""
    return kernel.transpose(-1, -2, *range(kernel.ndim - 2))


def _convolve(
    inputs: Any,
    kernel: Any,
    strides: Window = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Window = 1,
) -> Array:
    """Convolve; a kernel is (*spatial, channels of a group, filters)."""
    x, w, layout = _arguments(inputs, kernel, data_format=data_format)
    groups = x.shape[layout.index("C")] // max(1, w.shape[-2])
    window = {"stride": strides, "padding": padding.lower(), "dilation": dilation_rate}
    return _conv(x, _filters(w), **window, groups=groups, layout=layout)  # type: ignore[arg-type]  # a mapping


def _depthwise(
    inputs: Any,
    kernel: Any,
    strides: Window = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Window = 1,
) -> Array:
    """Convolve each channel with kernels of its own, which are (*spatial, channels, filters of each)."""
    _, w, _ = _arguments(inputs, kernel, data_format=data_format)
    flat = w.reshape(*w.shape[:-2], 1, w.shape[-2] * w.shape[-1])
    return _convolve(inputs, flat, strides, padding, data_format, dilation_rate)


def _transpose(
    inputs: Any,
    kernel: Any,
    strides: Window = 1,
    padding: str = "valid",
    output_padding: Window | None = None,
    data_format: str | None = None,
    dilation_rate: Window = 1,
) -> Array:
    """Transpose a convolution; a kernel is (*spatial, filters, channels).

    Keras tells how many zeros lie around the spread image for a kernel that slides over it.
    """
    with importing:
        from keras.src.backend.common.backend_utils import compute_conv_transpose_padding_args_for_jax

    x, w, layout = _arguments(inputs, kernel, data_format=data_format)
    zeros = compute_conv_transpose_padding_args_for_jax(
        x.shape, w.shape, strides, padding, output_padding, dilation_rate
    )
    dilation = (dilation_rate,) * len(zeros) if isinstance(dilation_rate, int) else dilation_rate
    spans = [d * (k - 1) for k, d in zip(w.shape, dilation, strict=False)]
    cut = [(span - before, span - after) for span, (before, after) in zip(spans, zeros, strict=True)]
    return _conv_transpose(
        x,
        _filters(w),
        stride=strides,  # type: ignore[arg-type]  # a list, too
        padding=tuple((before, max(0, after)) for before, after in cut),
        output_padding=tuple(max(0, -after) for _, after in cut),
        dilation=tuple(dilation),
        layout=layout,
    )


def _maxima(
    inputs: Any,
    pool_size: Window,
    strides: Window | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Array:
    """Return the greatest pixel of each window."""
    x, layout = _arguments(inputs, data_format=data_format)
    return _max_pool(x, pool_size, stride=strides, padding=padding.lower(), layout=layout)  # type: ignore[call-overload, no-any-return]  # a list, too


def _means(
    inputs: Any,
    pool_size: Window,
    strides: Window | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Array:
    """Return the mean of each window's pixels, padding left out."""
    x, layout = _arguments(inputs, data_format=data_format)
    window: dict[str, Any] = {"stride": strides, "padding": padding.lower(), "layout": layout}
    return _average_pool(x, pool_size, **window, count_include_pad=False)  # type: ignore[arg-type]  # a list, too


_FUNCTIONS = {
    "conv": _convolve,
    "depthwise_conv": _depthwise,
    "conv_transpose": _transpose,
    "max_pool": _maxima,
    "average_pool": _means,
}
"""By their names in Keras's backends."""
