"""Hypothesis strategies: windows, layouts, dtypes, memory orders, and arguments as users write them.

Images hold small integers, so that sums are exact in every dtype and results can be compared for equality. A window is
drawn so that it fits: kernel, stride, dilation and padding first, then an image that is large enough.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from im2col.spec.geometry import Geometry

from .oracles import Window, named_padding

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = (
    *(np.dtype(code) for code in "?bhilqBHILQefdgFDG"),
    BFLOAT16,
)
"""Every dtype of the transforms: bool, all integers, floats from 2 to 16 bytes, complex, bfloat16."""

PADDING_MODES = ("constant", "edge", "reflect", "symmetric", "wrap")
PADDING_NAMES = ("valid", "same", "same_lower", "full", "causal", "multiple")
ORIENTATIONS = ("rows", "columns")
TAP_ORDERS = ("channel-first", "channel-last")
EVERY_2D_LAYOUT = [
    "".join(axes) for letters in ("HW", "CHW", "NHW", "NCHW") for axes in itertools.permutations(letters)
]

# By number of spatial axes: the plain loops of the oracles visit every entry of the matrix.
_KERNEL = {1: 5, 2: 3, 3: 2, 4: 2}
_PADDING = {1: 5, 2: 3, 3: 2, 4: 1}
_ROOM = {1: 7, 2: 4, 3: 2, 4: 1}


def _sliced(x: Array) -> Array:
    wide = np.ones([2 * n for n in x.shape], x.dtype)
    view = wide[(slice(1, None, 2),) * x.ndim]
    view[...] = x
    return view


def _unaligned(x: Array) -> Array:
    view: Array = np.empty(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


def _read_only(x: Array) -> Array:
    view = x.copy()
    view.flags.writeable = False
    return view


_BACKWARDS = slice(None, None, -1)
MEMORY_ORDERS: dict[str, Callable[[Array], Array]] = {
    "C": np.array,
    "F": np.asfortranarray,
    "backwards": lambda x: x[(_BACKWARDS,) * x.ndim].copy()[(_BACKWARDS,) * x.ndim],
    "rotated": lambda x: np.moveaxis(np.moveaxis(x, 0, -1).copy(), -1, 0),
    "sliced": _sliced,
    "unaligned": _unaligned,
    "read-only": _read_only,
    "swapped": lambda x: x.astype(x.dtype.newbyteorder("S")),
}
"""By name: the same array in another memory order, alignment or byte order."""


def integers(seed: int, *shape: int, dtype: str = "float32") -> Array:
    """Return `numbers` of a shape and a dtype that are written as one writes a call."""
    return numbers(shape, np.dtype(dtype), seed)


def numbers(shape: tuple[int, ...], dtype: np.dtype[Any], seed: int) -> Array:
    """Return small integers, from -9 to 9 as far as the dtype has them, in any dtype."""
    rng = np.random.default_rng(seed)
    lowest, highest = (0, 1) if dtype.kind == "b" else (0, 9) if dtype.kind == "u" else (-9, 9)
    values = rng.integers(lowest, highest, shape, endpoint=True)
    if dtype.kind == "c":
        return (values + 1j * rng.integers(lowest, highest, shape, endpoint=True)).astype(dtype)
    return values.astype(dtype)


def fewer(divisor: int) -> settings:
    """Let an expensive test draw so many times fewer cases than the others."""
    return settings(max_examples=max(1, settings().max_examples // divisor))


def dtypes() -> st.SearchStrategy[np.dtype[Any]]:
    """Draw a dtype."""
    return st.sampled_from(DTYPES)


def memory_orders() -> st.SearchStrategy[str]:
    """Draw the name of a memory order."""
    return st.sampled_from(sorted(MEMORY_ORDERS))


def seeds() -> st.SearchStrategy[int]:
    """Draw a seed for `numbers`."""
    return st.integers(0, 2**32 - 1)


def spatial_ndims(largest: int = 4) -> st.SearchStrategy[int]:
    """Draw a number of spatial axes: mostly 1 to 3, sometimes 4."""
    return st.sampled_from([k for k in (2, 1, 3, 2, 1, 3, 4) if k <= largest])


@st.composite
def layouts(draw: st.DrawFn, ndim: int) -> str:
    """Draw an axis string with `ndim` spatial axes: any letters, with or without N and C, in any order."""
    spatial = draw(st.permutations(sorted("ABDEHWXYZ")))[:ndim]
    return "".join(draw(st.permutations([*draw(st.sampled_from(["NC", "C", "N", ""])), *spatial])))


@st.composite
def windows(draw: st.DrawFn, ndim: int | None = None, padding: str | None = None, padded: bool = True) -> Window:
    """Draw a window that fits its image: of `ndim` axes, with padding of that name, or drawn freely if `padded`."""
    k = draw(spatial_ndims()) if ndim is None else ndim
    axes = []
    for _ in range(k):
        kernel = draw(st.integers(1, _KERNEL[k]))
        stride = draw(st.integers(1, 3))
        dilation = draw(st.integers(1, 3 if kernel > 1 else 1))
        most = _PADDING[k] if padded else 0
        pair = (draw(st.integers(0, most)), draw(st.integers(0, most)))
        span, room = dilation * (kernel - 1) + 1, draw(st.integers(0, _ROOM[k]))
        if padding is None:
            n = max(1, span - sum(pair)) + room
        else:
            n = (span if padding == "valid" else 1) + room
            pair = named_padding(padding, n, kernel, stride, dilation)
        axes.append((n, kernel, stride, pair, dilation))
    shape, kernels, strides, pairs, dilations = zip(*axes, strict=True)
    return Window(shape, kernels, strides, pairs, dilations)


def geometry(window: Window, **names: str) -> Geometry:
    """Return the geometry with the numbers of `window`."""
    return Geometry(window.spatial_shape, window.kernel_size, window.stride, window.padding, window.dilation, **names)


def _spellings(values: tuple[int, ...]) -> list[Any]:
    """Return the ways to write one integer per axis."""
    ways = [values, list(values), np.array(values), tuple(map(np.int32, values))]
    return [values[0], np.int64(values[0]), *ways] if len(set(values)) == 1 else ways


def spelled(values: tuple[int, ...]) -> st.SearchStrategy[Any]:
    """Draw a way to write one integer per axis."""
    return st.sampled_from(_spellings(values))


@st.composite
def spelled_padding(draw: st.DrawFn, pairs: tuple[tuple[int, int], ...]) -> Any:
    """Draw a way to write (before, after) pairs."""
    if all(before == after for before, after in pairs) and draw(st.booleans()):
        return draw(spelled(tuple(before for before, _ in pairs)))
    short = tuple(before if before == after and draw(st.booleans()) else (before, after) for before, after in pairs)
    return draw(st.sampled_from([pairs, short, list(map(list, pairs)), np.array(pairs)]))


@dataclass(frozen=True)
class Case:
    """A call of a transform: an image, its arguments as a user writes them, and the same for the oracles."""

    x: Array
    layout: str
    window: Window
    arguments: dict[str, Any]
    """What `im2col`, `patches` and `col2im` take alike: the window, the layout, the padding mode, the order."""
    value: complex

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the image."""
        return self.x.shape

    @property
    def mode(self) -> str:
        """The padding mode."""
        return str(self.arguments["padding_mode"])

    @property
    def order(self) -> dict[str, Any]:
        """Padding mode, orientation and tap order for the oracles."""
        return {"mode": self.mode, **{name: self.arguments[name] for name in ("orientation", "tap_order")}}

    @property
    def is_padded(self) -> bool:
        """Whether any axis has padding."""
        return any(map(any, self.window.padding))


@st.composite
def cases(
    draw: st.DrawFn,
    dtype: st.SearchStrategy[np.dtype[Any]] | None = None,
    ndim: int | None = None,
    memory: st.SearchStrategy[str] | None = None,
    padded: bool = True,
) -> Case:
    """Draw a call of a transform: any window, layout, dtype and memory order; sometimes no images, or no channels."""
    k = draw(spatial_ndims()) if ndim is None else ndim
    name = draw(st.sampled_from([None, None, *PADDING_NAMES])) if padded else None
    window = draw(windows(k, name, padded))
    if draw(st.booleans()):
        written = layout = draw(layouts(k))
    else:  # by number of axes; the names of the axes do not matter to the oracles
        written, layout = None, draw(st.sampled_from(["NC", "C", ""])) + "ABDE"[:k]
    lengths = dict(zip((a for a in layout if a not in "NC"), window.spatial_shape, strict=True))
    lengths |= {"N": draw(st.sampled_from([2, 1, 3, 0])), "C": draw(st.sampled_from([2, 1, 3, 0]))}
    kind = draw(dtypes() if dtype is None else dtype)
    x = numbers(tuple(lengths[a] for a in layout), kind, draw(seeds()))
    value = draw(st.integers(0, 1) if kind.kind in "bu" else st.integers(-3, 3))
    kernel = spelled(window.kernel_size)
    if written is None and k != 2:  # a bare integer means two axes there
        kernel = kernel.filter(lambda spelling: not isinstance(spelling, int | np.integer))
    arguments = {
        "kernel_size": draw(kernel),
        "stride": draw(spelled(window.stride)),
        "dilation": draw(spelled(window.dilation)),
        "padding": draw(spelled_padding(window.padding)) if name is None else name,
        "padding_mode": draw(st.sampled_from(PADDING_MODES)),
        "orientation": draw(st.sampled_from(ORIENTATIONS)),
        "tap_order": draw(st.sampled_from(TAP_ORDERS)),
        "layout": written,
    }
    order = draw(memory_orders() if memory is None else memory)
    return Case(MEMORY_ORDERS[order](x), layout, window, arguments, value)


def pairs_of_dtypes() -> st.SearchStrategy[tuple[np.dtype[Any], np.dtype[Any]]]:
    """Draw two dtypes that have a common one."""
    return st.tuples(dtypes(), dtypes()).filter(lambda pair: _promote(*pair))


def _promote(a: np.dtype[Any], b: np.dtype[Any]) -> bool:
    try:
        np.result_type(a, b)
    except TypeError:
        return False
    return True


@dataclass(frozen=True)
class Convolution:
    """A convolution without its arrays: numbers for the oracles, and the same as a user writes them."""

    layout: str
    window: Window
    image_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    groups: int
    mode: str
    flip: bool
    arguments: dict[str, Any]
    """What `conv` and both of its gradients take alike."""
    dtypes: tuple[np.dtype[Any], np.dtype[Any]]
    orders: tuple[str, str]
    """Names of memory orders for two operands."""
    seeds: tuple[int, int]

    @property
    def options(self) -> dict[str, Any]:
        """Groups, padding mode and flip for the oracles."""
        return {"groups": self.groups, "mode": self.mode, "flip": self.flip}

    def operands(self, first: tuple[int, ...], second: tuple[int, ...]) -> tuple[Array, Array]:
        """Return two arrays of small integers of these shapes."""
        a, b = (numbers(s, d, seed) for s, d, seed in zip((first, second), self.dtypes, self.seeds, strict=True))
        return a, b

    def laid_out(self, *operands: Array) -> list[Array]:
        """Return the two arrays in their memory orders."""
        return [MEMORY_ORDERS[order](a) for order, a in zip(self.orders, operands, strict=True)]


@st.composite
def convolutions(
    draw: st.DrawFn,
    pairs: st.SearchStrategy[tuple[np.dtype[Any], np.dtype[Any]]] | None = None,
) -> Convolution:
    """Draw a convolution: any window, layout, groups, dtypes, memory orders; sometimes no images, channels, filters."""
    k = draw(spatial_ndims())
    name = draw(st.sampled_from([None, None, *PADDING_NAMES]))
    window = draw(windows(k, name))
    written = draw(st.none() | layouts(k))
    layout = draw(st.sampled_from(["NC", "C", ""])) + "ABDE"[:k] if written is None else written
    groups, per_group, maps = draw(channel_counts()) if "C" in layout else (1, 1, 1)
    lengths = dict(zip((a for a in layout if a not in "NC"), window.spatial_shape, strict=True))
    lengths |= {"N": draw(st.sampled_from([1, 2, 3, 0])), "C": groups * per_group}
    outputs = lengths | {"C": groups * maps}
    outputs |= dict(zip((a for a in layout if a not in "NC"), window.output_shape, strict=True))
    mode, flip = draw(st.sampled_from(["constant", *PADDING_MODES])), draw(st.booleans())
    arguments = {
        "stride": draw(spelled(window.stride)),
        "dilation": draw(spelled(window.dilation)),
        "padding": draw(spelled_padding(window.padding)) if name is None else name,
        "padding_mode": mode,
        "groups": groups,
        "layout": written,
        "flip": flip,
    }
    return Convolution(
        layout=layout,
        window=window,
        image_shape=tuple(lengths[a] for a in layout),
        weight_shape=(groups * maps, per_group, *window.kernel_size),
        output_shape=tuple(outputs[a] for a in layout),
        groups=groups,
        mode=mode,
        flip=flip,
        arguments=arguments,
        dtypes=draw(pairs_of_dtypes() if pairs is None else pairs),
        orders=(draw(memory_orders()), draw(memory_orders())),
        seeds=(draw(seeds()), draw(seeds())),
    )


@st.composite
def channel_counts(draw: st.DrawFn) -> tuple[int, int, int]:
    """Draw how many groups there are, and the channels and filters of each; sometimes none."""
    groups, per_group, maps = (draw(st.sampled_from(sizes)) for sizes in ([1, 2, 3], [1, 2, 3, 0], [1, 2, 3, 0]))
    return groups, per_group, maps
