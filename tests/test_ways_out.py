"""Each way out that a message names is taken, and leads somewhere.

A row is a call that is refused, the words of its message that say what to do, and the call that does so. The last test
looks at every ``raise`` of the rooms that users' arguments reach: a new one needs a row, or a reason why it has none.
"""

from __future__ import annotations

import ast
import io
import pathlib
import tempfile
from collections import OrderedDict
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from PIL import Image

import im2col as I  # noqa: N812 (two calls a row stay on a line)
from im2col import Im2colError

from .kit.nasty import hostile
from .kit.outcomes import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Call = Callable[[], Any]

PACKAGE = pathlib.Path(I.__file__).parent
ROOMS = ("spec/", "engine/", "matrix/", "layers/", "blocks/", "pictures/", "files.py")
ONES = np.ones
X, W, G = ONES((1, 2, 4, 4)), ONES((2, 2, 3, 3)), ONES((1, 2, 2, 2))
PLAIN, KERNEL = ONES((4, 4)), ONES((3, 3))
B, K = X.astype(np.uint8), W.astype(np.int8)
S: dict[str, Any] = {"x_scale": 1, "w_scale": 1, "y_scale": 1}
PHOTO = ONES((32, 32, 3))
LINE = I.window_geometry((5,), 3)
HUGE = np.broadcast_to(1.0, (1 << 22, 1 << 22))
VAST = np.broadcast_to(np.int8(1), (1 << 30, 1 << 30))
MASKED: Any = np.ma.masked_array([[1.0, 2.0]], [[True, False]])


class Metres:
    """Numbers with a unit, as pint has them."""

    units = "metre"
    magnitude = ONES((2, 2))


class Remote:
    """An array on another device, which would copy itself."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __array__(self, *_: Any, **__: Any) -> Any:
        return PLAIN


class Foreign:
    """An array of a package that makes none of ours."""

    def __array_namespace__(self, **_: Any) -> Any:
        return SimpleNamespace(from_dlpack=None)

    def __array__(self, *_: Any, **__: Any) -> Any:
        return PLAIN


class Stored:
    """An array that lies elsewhere."""

    shape, dtype, chunks = (2, 2), np.dtype(float), (1, 2)

    def __getitem__(self, place: Any) -> Any:
        return ONES(self.shape)[place]

    def __array__(self, *_: Any, **__: Any) -> Any:
        return ONES(self.shape)


class ReadOnly:
    """An array that nothing can be assigned to."""

    shape, dtype = (1, 2, 2, 2), np.dtype(float)

    def __getitem__(self, _: Any) -> Any:
        return G


class Odd:
    """An array that gives other parts than it is asked for."""

    shape, dtype = (1, 2, 4, 4), np.dtype(float)

    def __getitem__(self, _: Any) -> Any:
        return G


class Masked(Odd):
    """An array whose parts have masks, as those of files are."""

    def __getitem__(self, place: Any) -> Any:
        return np.ma.masked_less(X, 9)[place]


class Typed(Odd):
    """An array of a dtype that NumPy has not, as torch's are."""

    x, dtype = X, "torch.float64"  # type: ignore[assignment]  # that is the test


class Lazy(ReadOnly):
    """An array that computes what was assigned to it when it is asked for it, as dask has it."""

    def __setitem__(self, *_: Any) -> None:
        raise AssertionError

    def __dask_graph__(self) -> Any:
        raise AssertionError


def blocks(source: Any, **options: Any) -> Any:
    """Convolve in blocks to an array in memory."""
    return I.convolve_blocks(source, W, np.empty(G.shape), **options)


FOLDER = tempfile.mkdtemp()
NO_PATH = hostile(object, "__fspath__")()
TILES = [(tile, tile.pixels) for tile in I.iter_tiles(PLAIN, 2)]
OTHER_TILES = [(tile, tile.pixels) for tile in I.iter_tiles(KERNEL, 2, overlap=1)]
WIDER = [(tile, tile.pixels) for tile in I.iter_tiles(KERNEL, 3, overlap=2)]
METRES: Any = Metres()
STORED: Any = Stored()
PALETTE: Any = Image.new("P", (2, 2))
GROUP: Any = OrderedDict(a=PLAIN)


def any_(value: Any) -> Any:
    """Return a value whose type is wrong on purpose."""
    return value


def folder() -> pathlib.Path:
    """Return a new folder."""
    return pathlib.Path(tempfile.mkdtemp())


def save(ending: str, *, image: Any = X, **options: Any) -> Any:
    """Save a picture."""
    return I.illustrate(image, W, **options).save(folder() / f"x.{ending}")


ROWS: list[tuple[Call, str, Call]] = [
    # Integers, sequences, words, flags
    (
        lambda: I.im2col(X, 2, stride=any_("2")),
        "must be an integer or one integer per axis",
        lambda: I.im2col(X, 2, stride=2),
    ),
    (lambda: I.im2col(X, 2, stride=0), "must be at least 1", lambda: I.im2col(X, 2, stride=1)),
    (lambda: I.output_shape((2**90,), 3), f"at most {2**80}", lambda: I.output_shape((2**80,), 3)),
    (
        lambda: I.im2col(X, (2, 2, 2), layout="NCHW"),
        "give the kernel one size for each",
        lambda: I.im2col(X, (2, 2), layout="NCHW"),
    ),
    (lambda: I.im2col(X, 2, stride=(1, 2, 3)), "give one integer, or 2", lambda: I.im2col(X, 2, stride=(1, 2))),
    (lambda: I.output_shape(any_("ab"), 3), "must be a tuple of integers", lambda: I.output_shape((4, 4), 3)),
    (lambda: I.conv(X, W, flip=any_("no")), "must be True or False", lambda: I.conv(X, W, flip=False)),
    (
        lambda: I.im2col(X, 2, orientation=any_("rowz")),
        "must be 'rows' or 'columns'",
        lambda: I.im2col(X, 2, orientation="rows"),
    ),
    (lambda: I.im2col(X, ()), "an entry for each spatial axis", lambda: I.im2col(X, (2, 2))),
    (lambda: I.conv(X, W, threads=0), "a positive integer or None", lambda: I.conv(X, W, threads=None)),
    (lambda: I.conv(X, W, threads=10**6), "at most 4,096", lambda: I.conv(X, W, threads=2)),
    # Arrays and dtypes
    (lambda: I.im2col(any_(None), 2), "pass an array", lambda: I.im2col(X, 2)),
    (lambda: I.im2col(MASKED, 1), "as in x.filled(0)", lambda: I.im2col(MASKED.filled(0), 1)),
    (lambda: I.im2col(METRES, 1), "as in x.magnitude", lambda: I.im2col(METRES.magnitude, 1)),
    (lambda: I.im2col(PALETTE, 1), "as in x.convert('RGB')", lambda: I.im2col(PALETTE.convert("RGB"), 1)),
    (lambda: I.im2col(GROUP, 1), "pass one of them", lambda: I.im2col(GROUP["a"], 1)),
    (
        lambda: I.conv(STORED, W[:1, :1]),
        "give it to im2col.convolve_blocks",
        lambda: I.convolve_blocks(STORED, W[:1, :1], np.empty((2, 2)), padding=1),
    ),
    (lambda: I.im2col(STORED, 1), "or pass np.asarray(x)", lambda: I.im2col(np.asarray(STORED), 1)),
    (lambda: I.im2col(any_(Remote()), 1), "pass a copy in CPU memory", lambda: I.im2col(np.array(Remote()), 1)),
    (lambda: I.im2col(any_(Foreign()), 1), "as in np.asarray(x)", lambda: I.im2col(np.asarray(Foreign()), 1)),
    (lambda: I.im2col(PHOTO, 2), "or layout='HWC'", lambda: I.im2col(PHOTO, 2, layout="HWC")),
    (
        lambda: I.im2col([["1", "2"]], 1),
        "as in np.asarray(x, float)",
        lambda: I.im2col(np.asarray([["1", "2"]], float), 1),
    ),
    (
        lambda: I.im2col([[1, 2], [3]], 1),
        "pass an ndarray in CPU memory",
        lambda: I.im2col(np.array([[1, 2], [3, 0]]), 1),
    ),
    (
        lambda: I.weight_matrix(ONES((1,) * 64)),
        "as in w.reshape(*w.shape[:2], -1)",
        lambda: I.weight_matrix(ONES((1,) * 64).reshape(1, 1, -1)),
    ),
    (
        lambda: I.quantized_conv(B, K, np.array([1.5, 2]), **S),
        "as in bias.astype(np.int32)",
        lambda: I.quantized_conv(B, K, np.array([1.5, 2]).astype(np.int32), **S),
    ),
    (
        lambda: I.conv(B, K, ONES(2).astype(ml_dtypes.bfloat16)),
        "as in bias.astype(np.int32)",
        lambda: I.conv(B, K, ONES(2).astype(ml_dtypes.bfloat16).astype(np.int32)),
    ),
    (
        lambda: I.conv2d(PHOTO, KERNEL),
        "np.stack([w[None]] * C) and groups=C, and layout= for channels last",
        lambda: I.conv2d(PHOTO, np.stack([KERNEL[None]] * 3), groups=3, layout="HWC"),
    ),
    (
        lambda: I.im2col(X, 3, padding=1, padding_mode=any_(hostile(dict, "items")({"W": "wrap"}))),
        "or a mapping by axis such as {'W': 'wrap'}",
        lambda: I.im2col(X, 3, padding=1, padding_mode={"W": "wrap"}),
    ),
    (lambda: I.plan(any_(X), W), "pass its shape", lambda: I.plan(X.shape, W)),
    (lambda: I.conv(X, W, dtype=any_("fish")), "pass one such as np.float32", lambda: I.conv(X, W, dtype=np.float64)),
    (
        lambda: I.cost(X.shape, W.shape, dtype=any_(None)),
        "pass one such as np.float32",
        lambda: I.cost(X.shape, W.shape, dtype=np.float32),
    ),
    (lambda: I.conv(X, W, dtype=object), "pass one such as np.float32", lambda: I.conv(X, W, dtype=np.float64)),
    (
        lambda: I.conv(X.astype(ml_dtypes.int4), K),
        "as in x.astype(np.int8)",
        lambda: I.conv(X.astype(ml_dtypes.int4).astype(np.int8), K),
    ),
    (
        lambda: I.im2col(X, 3, out=ONES(3)),
        "pass np.empty((1, 4, 18), 'float64')",
        lambda: I.im2col(X, 3, out=np.empty((1, 4, 18), "float64")),
    ),
    (
        lambda: I.conv(X, W, dtype=np.int8),
        "ask for a wider dtype",
        lambda: I.conv(X, W, dtype=np.float64).astype(np.int8),
    ),
    (
        lambda: I.conv(X.astype(np.float16), W.astype(ml_dtypes.bfloat16)),
        "convert one of them",
        lambda: I.conv(X.astype(np.float16), W.astype(np.float16)),
    ),
    (
        lambda: I.conv(B, K, dtype=ml_dtypes.int4),
        "ask for np.int8 and convert the result",
        lambda: I.conv(B, K, dtype=np.int8).astype(ml_dtypes.int4),
    ),
    # Tiles
    (
        lambda: I.iter_tiles(PLAIN, 2, overlap=2),
        "use larger tiles",
        lambda: I.iter_tiles(PLAIN, 3, overlap=2),
    ),
    (lambda: I.blend_tiles(any_(5)), "pass an iterable of them", lambda: I.blend_tiles(TILES)),
    (
        lambda: I.blend_tiles(any_(PLAIN.view(hostile(np.ndarray, "__getitem__")))),
        "pass an iterable of them",
        lambda: I.blend_tiles(TILES),
    ),
    (lambda: I.blend_tiles([]), "for every tile", lambda: I.blend_tiles(TILES)),
    (lambda: I.blend_tiles(any_([5])), "pass (tile, result)", lambda: I.blend_tiles(TILES)),
    (
        lambda: I.blend_tiles([(tile._replace(place=(-1, -1)), pixels) for tile, pixels in TILES]),
        "pass those that it gives",
        lambda: I.blend_tiles(TILES),
    ),
    (lambda: I.blend_tiles(TILES[1:]), "for every tile", lambda: I.blend_tiles(TILES)),
    (lambda: I.blend_tiles(TILES * 2), "pass each once", lambda: I.blend_tiles(TILES)),
    (lambda: I.blend_tiles([*TILES[:1], *OTHER_TILES]), "one call", lambda: I.blend_tiles(OTHER_TILES)),
    (
        lambda: I.blend_tiles([(tile, pixels[0]) for tile, pixels in TILES]),
        "as in result[None]",
        lambda: I.blend_tiles([(tile, pixels[0][None]) for tile, pixels in TILES]),
    ),
    (
        lambda: I.blend_tiles([(tile, pixels[: 1 + i % 2]) for i, (tile, pixels) in enumerate(TILES)]),
        "blend tiles of one size",
        lambda: I.blend_tiles(TILES),
    ),
    (
        lambda: I.blend_tiles([(tile, pixels[::2]) for tile, pixels in OTHER_TILES]),
        "choose a size and an overlap",
        lambda: I.blend_tiles([(tile, tile.pixels[::2]) for tile in I.iter_tiles(PHOTO[0], 4, overlap=2)]),
    ),
    (lambda: I.blend_tiles(OTHER_TILES, margin=1), "let tiles overlap more", lambda: I.blend_tiles(WIDER, margin=1)),
    # Layouts
    (lambda: I.im2col(X, 2, layout="nchw"), "distinct capital letters", lambda: I.im2col(X, 2, layout="NCHW")),
    (lambda: I.im2col(ONES((1,) * 25), (1,) * 25), "work on its slices", lambda: I.im2col(ONES((1,) * 24), (1,) * 24)),
    (lambda: I.window_geometry((), 1), "add one", lambda: I.window_geometry((4,), 1)),
    (lambda: I.conv(ONES(4), W), "pass an image of that many axes", lambda: I.conv(X, W)),
    (
        lambda: I.im2col(ONES((1, 1, 8, 8, 8)), 3),
        "as in kernel_size=(3, 3, 3)",
        lambda: I.im2col(ONES((1, 1, 8, 8, 8)), (3, 3, 3)),
    ),
    (
        lambda: I.im2col(ONES((1, 1, 8, 8, 8)), 3),
        "name the axes with layout=",
        lambda: I.im2col(ONES((1, 1, 8, 8, 8)), 3, layout="NCDHW"),
    ),
    (lambda: I.im2col(X, 2, layout="HW"), "name each axis once", lambda: I.im2col(X, 2, layout="NCHW")),
    (lambda: I.im2col(PHOTO, 5), "pass layout='HWC'", lambda: I.im2col(PHOTO, 5, layout="HWC")),
    # Geometry
    (lambda: I.im2col(PLAIN, 7), "pad by at least 2 on each side", lambda: I.im2col(PLAIN, 7, padding=2)),
    (lambda: I.im2col(PLAIN, 3, dilation=3), "lower the dilation", lambda: I.im2col(PLAIN, 3, dilation=1)),
    (
        lambda: I.im2col(ONES((0, 5)), 1, padding="same"),
        "pass an image of at least 1 along it",
        lambda: I.im2col(ONES((1, 5)), 1, padding="same"),
    ),
    (lambda: I.im2col(PLAIN, 2, stride=2**40), "use at most 2147483647", lambda: I.im2col(PLAIN, 2, stride=2147483647)),
    (
        lambda: I.Geometry(any_(5), any_(3), any_(1), any_(0), any_(1)),
        "window_geometry takes integers",
        lambda: I.window_geometry((5,), 3),
    ),
    (
        lambda: I.Geometry((5,), (3,), (1,), any_((0,)), (1,)),
        "one (before, after) pair",
        lambda: I.Geometry((5,), (3,), (1,), ((0, 0),), (1,)),
    ),
    (lambda: I.window_geometry((5,), 3).pixel(3, 0), "must be below 3", lambda: I.window_geometry((5,), 3).pixel(2, 0)),
    (lambda: LINE.addresses().address(0, 3), "must be below 3", lambda: LINE.addresses().address(0, 2)),
    (lambda: LINE.addresses().matrix(2, 4), "first <= stop <= 3", lambda: LINE.addresses().matrix(2, 3)),
    (
        lambda: I.window_geometry((1 << 62,), 3).addresses().matrix(),
        "some positions at a time",
        lambda: LINE.addresses().matrix(0, 1),
    ),
    (lambda: LINE.addresses(strides=(1, 2)), "such as (1,)", lambda: LINE.addresses(strides=(1,))),
    (
        lambda: LINE.addresses(strides=(1 << 62,)).matrix(),
        "pass strides in a larger unit",
        lambda: LINE.addresses(strides=(1,)).matrix(),
    ),
    (lambda: LINE.addresses(2, layout="NWC"), "leave N out", lambda: LINE.addresses(2, layout="WC")),
    (lambda: LINE.addresses(layout="WC"), "pass channels=1", lambda: LINE.addresses(1, layout="WC")),
    (lambda: LINE.addresses(2, layout="W"), "name their axis, C", lambda: LINE.addresses(2, layout="CW")),
    # Padding
    (
        lambda: I.im2col(X, 3, padding=any_("some")),
        "or one of ('valid', 'same'",
        lambda: I.im2col(X, 3, padding="same"),
    ),
    (
        lambda: I.im2col(X, 3, padding=(1, 1, 1)),
        "such as ((1, 2), (1, 2))",
        lambda: I.im2col(X, 3, padding=((1, 2), (1, 2))),
    ),
    (
        lambda: I.im2col(X, 3, padding=any_(((1, 2, 3), 1))),
        "a (before, after) pair",
        lambda: I.im2col(X, 3, padding=((1, 2), 1)),
    ),
    (
        lambda: I.im2col(X, 3, padding=1, padding_mode=any_("circular")),
        "'circular' is 'wrap'",
        lambda: I.im2col(X, 3, padding=1, padding_mode="wrap"),
    ),
    (
        lambda: I.im2col(PLAIN, 3, padding=1, padding_mode=any_(("wrap", "edge"))),
        "a mapping by axis such as {'H': 'wrap', 'W': 'edge'}",
        lambda: I.im2col(PLAIN, 3, padding=1, padding_mode={"H": "wrap", "W": "edge"}),
    ),
    (
        lambda: I.im2col(X, 3, padding=1, padding_mode={"C": "edge"}),
        "give modes of those, as in {'W': 'wrap'}",
        lambda: I.im2col(X, 3, padding=1, padding_mode={"W": "wrap"}),
    ),
    (
        lambda: I.illustrate(PLAIN, ONES((3, 3)), padding=1, padding_mode={"W": "wrap"}),
        "pad x first with np.pad, axis by axis",
        lambda: I.illustrate(np.pad(np.pad(PLAIN, ((0, 0), (1, 1)), "wrap"), ((1, 1), (0, 0))), ONES((3, 3))),
    ),
    (
        lambda: I.im2col(ONES((0, 4)), 1, padding=1, padding_mode="edge"),
        "use padding_mode='constant'",
        lambda: I.im2col(ONES((0, 4)), 1, padding=1, padding_mode="constant"),
    ),
    (
        lambda: I.im2col(X, 3, padding=1, padding_value=any_((1, 2))),
        "an array of one value a channel such as np.array((1, 2, 3))",
        lambda: I.im2col(X, 3, padding=1, padding_value=np.array((1, 2))),
    ),
    (
        lambda: I.im2col(X, 3, padding=1, padding_value=np.array((1, 2, 3))),
        "the image has 2 channels; pass one scalar, or an array of one value a channel",
        lambda: I.im2col(X, 3, padding=1, padding_value=np.array((1, 2))),
    ),
    (
        lambda: I.illustrate(X, ONES((1, 2, 3, 3)), padding=1, padding_value=any_(np.array((0, 1)))),
        "pad x first with np.pad, channel by channel",
        lambda: I.illustrate(
            np.stack([np.pad(X[:, c], ((0, 0), (1, 1), (1, 1)), constant_values=c) for c in (0, 1)], 1),
            ONES((1, 2, 3, 3)),
        ),
    ),
    (
        lambda: I.im2col(B, 3, padding=1, padding_value=0.5),
        "not a value of the image's dtype uint8",
        lambda: I.im2col(B, 3, padding=1, padding_value=1),
    ),
    (
        lambda: I.im2col(B, 3, padding=1, padding_value=any_("x")),
        "not a value of the image's dtype",
        lambda: I.im2col(B, 3, padding=1, padding_value=0),
    ),
    (
        lambda: I.im2col(B, 3, padding=1, padding_value=2**2000),
        "not a value of the image's dtype",
        lambda: I.im2col(B, 3, padding=1, padding_value=255),
    ),
    (
        lambda: I.im2col(X, 3, padding=1, padding_value=any_([[1], [2, 3]])),
        "not a value",
        lambda: I.im2col(X, 3, padding=1, padding_value=1),
    ),
    (
        lambda: I.im2col(B, 3, padding=1, padding_value=-1),
        "not a value of the image's dtype uint8",
        lambda: I.im2col(B, 3, padding=1, padding_value=1),
    ),
    (lambda: I.patches(VAST, 3), "pass a part of the image", lambda: I.patches(VAST[: 1 << 20], 3)),
    (lambda: I.patches(X, 3, copy=any_(True)), "must be None", lambda: I.patches(X, 3, copy=None)),
    (lambda: I.patches(X, 3, padding=1, copy=False), "pass copy=None", lambda: I.patches(X, 3, padding=1, copy=None)),
    # Matrices
    (
        lambda: I.col2im(ONES((4, 9)), (4, 4), 3, orientation="columns"),
        "check image_shape, orientation",
        lambda: I.col2im(ONES((4, 9)), (4, 4), 3),
    ),
    (
        lambda: I.weight_matrix(KERNEL),
        "must be (filters, channels/groups, *kernel)",
        lambda: I.weight_matrix(KERNEL[None, None]),
    ),
    (lambda: I.im2col(HUGE, 3), "or patches, a view that copies nothing", lambda: I.patches(HUGE, 3)),
    (
        lambda: I.col2im(ONES((9, 4)), (4, 4), 2, tap_weights=ONES(3)),
        "pass one weight for each tap",
        lambda: I.col2im(ONES((9, 4)), (4, 4), 2, tap_weights=ONES((2, 2))),
    ),
    (
        lambda: I.col2im(ONES((9, 4)), (4, 4), 2, tap_weights=KERNEL[:2, :2] * 1j),
        "pass tap_weights.real",
        lambda: I.col2im(ONES((9, 4)), (4, 4), 2, tap_weights=(KERNEL[:2, :2] * 1j).real),
    ),
    (
        lambda: I.col2im(ONES((9, 4), np.int8), (4, 4), 2, tap_weights=ONES((2, 2))),
        "as in columns.astype(np.float32)",
        lambda: I.col2im(ONES((9, 4), np.int8).astype(np.float32), (4, 4), 2, tap_weights=ONES((2, 2))),
    ),
    # Convolutions
    (lambda: I.conv(PLAIN, KERNEL), "or as w[None, None]", lambda: I.conv(PLAIN, KERNEL[None, None])),
    (lambda: I.conv(PLAIN, KERNEL), "goes with conv1d, conv2d or conv3d", lambda: I.conv2d(PLAIN, KERNEL)),
    (
        lambda: I.conv2d(X, KERNEL),
        "or a plain kernel of 2 axes for a plain image of 2",
        lambda: I.conv2d(X[0, 0], KERNEL),
    ),
    (lambda: I.conv(X, W, groups=3), "must be a multiple of groups", lambda: I.conv(X, W[:, :1], groups=2)),
    (lambda: I.conv(X, W[:, :1]), "pass w of shape (filters, channels/groups, *kernel)", lambda: I.conv(X, W)),
    (lambda: I.conv(ONES((4, 4, 2)), W), "pass layout='HWC'", lambda: I.conv(ONES((4, 4, 2)), W, layout="HWC")),
    (lambda: I.conv(PLAIN, W[:, :1]), "as in x[None]", lambda: I.conv(PLAIN[None], W[:, :1])),
    (lambda: I.conv(X, W, ONES(3)), "one value each, (2,)", lambda: I.conv(X, W, ONES(2))),
    (
        lambda: I.conv(X, W, ONES(2) * 1j),
        "pass dtype='complex128'",
        lambda: I.conv(X, W, ONES(2) * 1j, dtype="complex128"),
    ),
    (lambda: I.conv(X, W, activation=any_("gelu")), "must be None, 'relu'", lambda: I.conv(X, W, activation="relu")),
    (lambda: I.conv(X * 1j, W, activation="relu"), "apply a function of your own", lambda: np.abs(I.conv(X * 1j, W))),
    (
        lambda: I.conv(B, K, activation="silu"),
        "pass dtype=np.float32",
        lambda: I.conv(B, K, activation="silu", dtype=np.float32),
    ),
    (lambda: I.conv(X, W, algorithm="fast"), "must be 'auto' or one of", lambda: I.conv(X, W, algorithm="auto")),
    (
        lambda: I.conv(X * 1j, W, algorithm="implicit"),
        "use algorithm='auto'",
        lambda: I.conv(X * 1j, W, algorithm="auto"),
    ),
    (
        lambda: I.plan(X.shape, W)(ONES(3)),
        "make a plan for each shape",
        lambda: I.plan((1, 2, 5, 5), W)(ONES((1, 2, 5, 5))),
    ),
    (
        lambda: I.plan(X.shape, W)(B),
        "make the plan with x_dtype='uint8'",
        lambda: I.plan(X.shape, W, x_dtype="uint8")(B),
    ),
    (
        lambda: I.plan(X.shape, W, algorithm="reference").ir(),
        "make it with algorithm='implicit'",
        lambda: I.plan(X.shape, W, algorithm="implicit").ir(),
    ),
    # Gradients and transposes
    (
        lambda: I.conv_input_gradient(X, W, X.shape),
        "pass the gradient of that result",
        lambda: I.conv_input_gradient(G, W, X.shape),
    ),
    (
        lambda: I.conv_bias_gradient(G, dtype=np.int8),
        "ask for a wider dtype",
        lambda: I.conv_bias_gradient(G, dtype=float).astype(np.int8),
    ),
    (
        lambda: I.conv_weight_gradient(X, G, 3, groups=3),
        "must be a multiple of groups",
        lambda: I.conv_weight_gradient(X, G, 3, groups=2),
    ),
    (
        lambda: I.conv_weight_gradient(X, X, 3),
        "pass the gradient of that result",
        lambda: I.conv_weight_gradient(X, G, 3),
    ),
    (lambda: I.conv_weight_gradient(X, G[0], 3), "both need the axes 'NCHW'", lambda: I.conv_weight_gradient(X, G, 3)),
    (
        lambda: I.plan_weight_gradient(X.shape, 2**40, 3),
        "pass fewer filters",
        lambda: I.plan_weight_gradient(X.shape, 2, 3),
    ),
    (lambda: I.conv_transpose(G, KERNEL), "as w[None, None]", lambda: I.conv_transpose(G[:, :1], KERNEL[None, None])),
    (
        lambda: I.conv_transpose(G, W, groups=3),
        "must be a multiple of groups",
        lambda: I.conv_transpose(G, W, groups=2),
    ),
    (lambda: I.conv_transpose(G, W[:1]), "channels of x", lambda: I.conv_transpose(G, W)),
    (lambda: I.conv_transpose(PLAIN, W[:1]), "with a channel axis", lambda: I.conv_transpose(PLAIN[None], W[:1])),
    (
        lambda: I.conv_transpose(G, W, padding=any_("full")),
        "'valid', 'same' or 'same_lower'",
        lambda: I.conv_transpose(G, W, padding="same"),
    ),
    (
        lambda: I.conv_transpose(ONES((2, 0, 4)), W),
        "pass at least one along each axis",
        lambda: I.conv_transpose(ONES((2, 1, 4)), W),
    ),
    (
        lambda: I.conv_transpose(G, W, output_padding=1),
        "pad the result instead",
        lambda: np.pad(I.conv_transpose(G, W), ((0, 0), (0, 0), (0, 1), (0, 1))),
    ),
    (
        lambda: I.conv_transpose(G, W, stride=2, output_padding=1, output_size=6),
        "pass one of them",
        lambda: I.conv_transpose(G, W, stride=2, output_size=6),
    ),
    (
        lambda: I.conv_transpose(G, W, output_size=9),
        "pass padding='same' to have it set",
        lambda: I.conv_transpose(G, W, output_size=4, padding="same"),
    ),
    (lambda: I.conv_transpose(G, W, padding=2), "lower the padding", lambda: I.conv_transpose(G, W, padding=1)),
    # Quantised
    (lambda: I.quantized_conv(X, W, **S), "convert x first", lambda: I.quantized_conv(X.astype(np.uint8), K, **S)),
    (lambda: I.quantized_conv(B, K, **S, dtype=np.int32), "conv returns the int32 sums", lambda: I.conv(B, K)),
    (
        lambda: I.quantized_conv(B, K, **S, activation="silu"),
        "must be None or 'relu'",
        lambda: I.quantized_conv(B, K, **S, activation="relu"),
    ),
    (lambda: I.conv(B, K, x_zero_point=any_(0.5)), "must be an integer", lambda: I.conv(B, K, x_zero_point=1)),
    (lambda: I.conv(B, K, x_zero_point=300), "range of uint8, 0 to 255", lambda: I.conv(B, K, x_zero_point=255)),
    (
        lambda: I.conv(B, K, w_zero_point=[1, 2, 3]),
        "one for each filter, (2,)",
        lambda: I.conv(B, K, w_zero_point=[1, 2]),
    ),
    (
        lambda: I.quantized_conv(B, K, x_scale=1j, w_scale=1, y_scale=1),
        "a positive number",
        lambda: I.quantized_conv(B, K, **S),
    ),
    (
        lambda: I.quantized_conv(B, K, x_scale=1, w_scale=[1, 2, 3], y_scale=1),
        "one for each filter, (2,)",
        lambda: I.quantized_conv(B, K, x_scale=1, w_scale=[1, 2], y_scale=1),
    ),
    (
        lambda: I.quantized_conv(B, K, x_scale=-1, w_scale=1, y_scale=1),
        "positive and finite",
        lambda: I.quantized_conv(B, K, **S),
    ),
    # Costs and linear maps
    (lambda: I.cost(any_(5)), "a list with one mapping", lambda: I.cost([{"x_shape": X.shape, "w_shape": W.shape}])),
    (lambda: I.cost(any_([5])), "a list with one mapping", lambda: I.cost([{"x_shape": X.shape, "w_shape": W.shape}])),
    (lambda: I.cost(any_({})), "a list with one mapping", lambda: I.cost([{"x_shape": X.shape, "w_shape": W.shape}])),
    (
        lambda: I.cost([{}]),
        "must name its x_shape and w_shape",
        lambda: I.cost([{"x_shape": X.shape, "w_shape": W.shape}]),
    ),
    (
        lambda: I.cost([{"x_shape": X.shape, "w_shape": W.shape, "fish": 1}]),
        "leave it out",
        lambda: I.cost([{"x_shape": X.shape, "w_shape": W.shape}]),
    ),
    (lambda: any_(I.cost)(X.shape, W.shape, output_padding=0), "leave it out", lambda: I.cost(X.shape, W.shape)),
    (lambda: I.conv_matrix(W, X.shape), "with layout='CHW'", lambda: I.conv_matrix(W, X.shape[1:], layout="CHW")),
    # Pictures
    (
        lambda: I.illustrate(X, W, chapter="fish"),
        "must be one of ('slide'",
        lambda: I.illustrate(X, W, chapter="slide"),
    ),
    (lambda: I.illustrate(X, W, lang="fr"), "must be one of ('en', 'zh')", lambda: I.illustrate(X, W, lang="zh")),
    (lambda: I.illustrate(X, W, step=4), "must be below 4", lambda: I.illustrate(X, W, step=3)),
    (lambda: I.illustrate(X, W, step=any_([0])), 'an integer, "all" or None', lambda: I.illustrate(X, W, step="all")),
    (
        lambda: I.illustrate(ONES((1, 1, 3, 3, 3, 3)), ONES((1, 1, 2, 2, 2, 2))),
        "draw a slice, as in x[..., 0]",
        lambda: I.illustrate(ONES((1, 1, 3, 3, 3, 3))[..., 0], ONES((1, 1, 2, 2, 2))),
    ),
    # Pooling
    (lambda: I.max_pool(X * 1j, 2), "as in np.abs(x)", lambda: I.max_pool(np.abs(X * 1j), 2)),
    (
        lambda: I.max_pool(X, 2, return_indices=any_("flat")),
        "'tensor' (within x.ravel())",
        lambda: I.max_pool(X, 2, return_indices="tensor"),
    ),
    (lambda: I.lp_pool(X, 2, p=0), "must be a number greater than 0", lambda: I.lp_pool(X, 2, p=1)),
    (
        lambda: I.max_unpool(G, G, X.shape),
        "pass integers, as max_pool(…, return_indices=True) gives",
        lambda: I.max_unpool(*I.max_pool(X, 2, return_indices=True), X.shape),
    ),
    (
        lambda: I.max_unpool(G, np.zeros((1, 2, 2), int), X.shape),
        "pass an index for each",
        lambda: I.max_unpool(G, np.zeros(G.shape, int), X.shape),
    ),
    (
        lambda: I.max_unpool(G, np.full(G.shape, 16), X.shape),
        "indices within its spatial axes",
        lambda: I.max_unpool(G, np.full(G.shape, 15), X.shape),
    ),
    (
        lambda: I.max_unpool(G, np.zeros(G.shape, int), X.shape[1:]),
        "give one for each",
        lambda: I.max_unpool(G, np.zeros(G.shape, int), X.shape),
    ),
    (
        lambda: I.average_pool_input_gradient(G, (1, 2, 6, 6), 2),
        "pass the gradient of its result",
        lambda: I.average_pool_input_gradient(ONES((1, 2, 3, 3)), (1, 2, 6, 6), 2),
    ),
    (lambda: I.plan_blocks([[1]], W), "that can be sliced", lambda: I.plan_blocks(X, W)),
    (lambda: I.plan_blocks("x.npy", W), "open it first", lambda: I.plan_blocks(X, W)),
    (lambda: I.convolve_blocks(X, W, any_(ReadOnly())), "pass the path of a .npy file", lambda: blocks(X)),
    (lambda: I.convolve_blocks(X, W, None), "pass the path", lambda: blocks(X)),
    (lambda: I.convolve_blocks(X, W, any_(Lazy())), "it is to be stored in", lambda: blocks(X)),
    (lambda: I.convolve_blocks(X, W, X.copy()), "make it so", lambda: blocks(X)),
    (lambda: I.convolve_blocks(X, W, np.broadcast_to(1.0, G.shape)), "open it for writing", lambda: blocks(X)),
    (
        lambda: I.convolve_blocks(X, W, np.lib.stride_tricks.as_strided(np.empty(1), G.shape, (0,) * G.ndim)),
        "pass np.empty of the result's shape",
        lambda: blocks(X),
    ),
    (lambda: I.convolve_blocks(X, ONES((2, 2, 1, 1)), X), "pass another", lambda: blocks(X)),
    (lambda: blocks(any_(Typed())), "pass np.asarray(source)", lambda: blocks(np.asarray(Typed.x))),
    (lambda: blocks(any_(Odd())), "mend what slices it", lambda: blocks(X)),
    (lambda: blocks(any_(Masked())), "fill them where it is sliced", lambda: blocks(X)),
    (lambda: I.plan_blocks(X, W, padding=1 << 60), "use less padding", lambda: I.plan_blocks(X, W, padding=1 << 9)),
    (lambda: blocks(X, memory=100), "pass memory=", lambda: blocks(X, memory=10_000)),
    (lambda: blocks(X, progress=any_(5)), "a function of two numbers", lambda: blocks(X, progress=lambda *_: None)),
    (lambda: blocks(X, journal=any_(5)), "of a .json file", lambda: blocks(X, journal=f"{FOLDER}/y.json")),
    (lambda: I.plan_blocks(X, W, any_(NO_PATH)), "pass a str", lambda: I.plan_blocks(X, W, "y.npy")),
    (lambda: I.plan_blocks(X, W, "y.txt"), "name one", lambda: I.plan_blocks(X, W, "y.npy")),
    (lambda: I.illustrate(X[:0], W), "pass at least one of each", lambda: I.illustrate(X, W)),
    (lambda: I.illustrate(X, W).save("x.jpg"), "use one of .svg", lambda: save("svg")),
    (lambda: I.illustrate(X, W).save(any_(5)), "pass one such as 'x.svg'", lambda: save("svg")),
    (lambda: I.illustrate(X, W).save("a\0b.svg"), "cannot write", lambda: save("svg")),
    (
        lambda: save("gif", image=ONES((1, 2, 20, 20)), step="all"),
        "or the explorer as .html",
        lambda: save("html", image=ONES((1, 2, 20, 20))),
    ),
    (lambda: save("html", image=X * 1j), "or pass x.real", lambda: save("html", image=(X * 1j).real)),
    (
        lambda: save("html", image=(X + 2.0**54).astype(np.int64)),
        "save .svg",
        lambda: save("svg", image=(X + 2.0**54).astype(np.int64)),
    ),
    (
        lambda: I.illustrate(X, W).show(width=0),
        "must be at least 1",
        lambda: I.illustrate(X, W).show(io.StringIO(), width=80),
    ),
    (lambda: I.illustrate(X, W).show(any_(5)), "io.StringIO()", lambda: I.illustrate(X, W).show(io.StringIO())),
]

ELSEWHERE = {
    "engine/compiler.py": "the engine's own: it is noticed, and NumPy does the work",
    "engine/threads.py: error": "another's error, from a worker",
    "pictures/page/modules.py": "of the page's own sources, not of arguments",
    "RuntimeError": "no argument leads there",
    "MissingExtraError": "tests/test_demo.py and tests/test_operators.py hide the packages",
    "TypeError": "Python's own words for an unknown keyword; the cause of a DTypeError",
    "AttributeError": "Python's own words for what cannot be set",
    "open_npy": "files of matrices: tests/test_matrix_file.py",
    "check_writable": "standard output: tests/test_cli_words.py",
    "reading": "standard input that is closed: tests/test_cli_words.py",
    "blocks/npy_file.py": "files of results, and what is kept of them: tests/test_convolve_blocks.py",
    "blocks/journal.py": "journals of other runs, and what is none: tests/test_convolve_blocks.py",
    "blocks/lock.py": "a journal that another run has, and folders without one: tests/test_lock.py",
    "pictures/notebook/explorer.py": "the traits of a widget, with its extra: tests/test_live_explorer.py",
    "require_room": "a disk without room: tests/test_matrix_file.py",
    "open_part": "what an earlier run kept and cannot be read: tests/test_photo_resuming.py",
    "new_part": "a folder that is read-only: tests/test_cli.py",
    "replacing": "a disk that is full or read-only: tests/test_matrix_file.py",
    "_best": "needs a limit that no algorithm can keep: tests/test_algorithms.py",
    "_at_least": "SciPy's vectors: tests/test_operators.py",
    "_named": "the environment's variable: tests/test_target.py",
    "array_of_table": "tables of pandas: tests/test_arrays.py",
    "_check_history": "torch's tensors, JAX's tracers: tests/test_kinds.py",
    "_exact": "longdouble beyond float64: tests/test_page.py",
}
"""Why a ``raise`` has no row: by file, by the error, or by the function that it stands in."""


@pytest.mark.parametrize("row", ROWS, ids=[words for _, words, _ in ROWS])
def test_the_way_out_leads_somewhere(row: tuple[Call, str, Call]) -> None:
    """The message says the words, and what they say works."""
    refused, words, taken = row
    require("scipy")
    with pytest.raises(Im2colError) as caught:
        refused()
    assert words in str(caught.value)
    taken()


def raises() -> Iterator[tuple[str, int, int, str, str]]:
    """Yield each ``raise``: its file, first and last line, what is raised, and the function that it stands in."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(ROOMS):
            continue
        tree = ast.parse(path.read_text())
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and node.exc is not None:
                last = node.end_lineno or node.lineno
                around = [f for f in functions if f.lineno <= node.lineno <= (f.end_lineno or 0)]
                yield (
                    name,
                    node.lineno,
                    last,
                    ast.unparse(node.exc).partition("(")[0],
                    around[-1].name if around else "",
                )


def lines_hit() -> set[tuple[str, int]]:
    """Return where the errors of all rows were raised, and their causes."""
    found = set()
    for refused, _, _ in ROWS:
        error: BaseException | None = None
        try:
            refused()
        except Im2colError as caught:
            error = caught
        while error is not None:
            trace = error.__traceback__
            while trace is not None:
                path = pathlib.Path(trace.tb_frame.f_code.co_filename)
                if path.is_relative_to(PACKAGE):
                    found.add((path.relative_to(PACKAGE).as_posix(), trace.tb_lineno))
                trace = trace.tb_next
            error = error.__cause__ or error.__context__
    return found


def test_every_raise_has_a_row() -> None:
    """Or a reason."""
    require("scipy")
    hit = lines_hit()
    missed = []
    for name, first, last, what, function in raises():
        excused = {name, what, function, f"{name}: {what}"} & ELSEWHERE.keys()
        if not excused and not any((name, line) in hit for line in range(first, last + 1)):
            missed.append(f"{name}:{first} {what} in {function}")
    assert missed == []
