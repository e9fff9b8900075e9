"""What the library's results are judged by: definitions as plain loops, which share no code with it.

`Window` holds the numbers of a window; `entries` walks its column matrix; everything else reads those two. MATLAB's and
TensorFlow's functions are written from their documentation.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """A window over an image, in plain numbers: one entry for each spatial axis."""

    spatial_shape: tuple[int, ...]
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Pair, ...]
    dilation: tuple[int, ...]

    @property
    def stops(self) -> list[list[list[int]]]:
        """For each axis and each stop of the window, the coordinates under the window's taps."""
        numbers = zip(self.spatial_shape, self.kernel_size, self.stride, self.padding, self.dilation, strict=True)
        return [axis_stops(*axis) for axis in numbers]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """How many stops each axis has, by counting them."""
        return tuple(len(stops) for stops in self.stops)


def axis_stops(n: int, kernel: int, stride: int, padding: Pair, dilation: int) -> list[list[int]]:
    """Slide a window along an axis of `n` pixels; coordinates below 0 or from n on lie in the padding."""
    before, after = padding
    stops, start = [], -before
    while start + dilation * (kernel - 1) < n + after:
        stops.append([start + dilation * tap for tap in range(kernel)])
        start += stride
    return stops


def source(i: int, n: int, mode: str) -> int | None:
    """Return which pixel of an axis of `n` stands at coordinate `i`; None for the constant. np.pad's five rules."""
    if 0 <= i < n:
        return i
    if mode == "constant":
        return None
    if mode == "edge":
        return 0 if i < 0 else n - 1
    if mode == "wrap":
        return i % n
    if mode == "reflect" and n == 1:
        return 0
    first, last = (0, 2 * (n - 1)) if mode == "reflect" else (-1, 2 * n - 1)
    while not 0 <= i < n:  # a mirror at each end: on the last pixel (reflect), or just behind it (symmetric)
        i = (first if i < 0 else last) - i
    return i


def named_padding(name: str, n: int, kernel: int, stride: int, dilation: int) -> Pair:
    """Return the padding that a name means for one axis; "same" as TensorFlow's guide to padding states it."""
    reach = dilation * (kernel - 1)
    total = max(reach + 1 - (stride if n % stride == 0 else n % stride), 0)
    small, large = total // 2, total - total // 2
    return {
        "valid": (0, 0),
        "same": (small, large),
        "same_lower": (large, small),
        "full": (reach, reach),
        "causal": (reach, 0),
        "multiple": (0, next(p for p in itertools.count() if leaves_over(n, p, reach + 1, stride) == 0)),
    }[name]


def leaves_over(n: int, after: int, span: int, stride: int) -> int:
    """Return how many of the pixels that windows of an endless axis cover are in no window of a padded one."""

    def covered(length: int) -> set[int]:
        return {i for o in range(0, length - span + 1, stride) for i in range(o, min(o + span, n))}

    return len(covered(n + span) - covered(n + after))


def entries(
    shape: Sequence[int], layout: str, window: Window, mode: str = "constant", tap_order: str = "channel-first"
) -> Iterator[tuple[int, int, int, tuple[int, ...] | None]]:
    """Yield (image, position, tap, index of the pixel in the image array or None in the constant padding)."""
    sizes = dict(zip(layout, shape, strict=True))
    axes = [axis for axis in layout if axis not in "NC"]
    channels = range(sizes.get("C", 1))
    kernel = list(itertools.product(*map(range, window.kernel_size)))
    taps = [(c, t) for c in channels for t in kernel]
    if tap_order == "channel-last":
        taps = [(c, t) for t in kernel for c in channels]
    for image in range(sizes.get("N", 1)):
        for position, stop in enumerate(itertools.product(*window.stops)):
            for number, (channel, tap) in enumerate(taps):
                at: dict[str, int | None] = {"N": image, "C": channel}
                for axis, coordinates, t in zip(axes, stop, tap, strict=True):
                    at[axis] = source(coordinates[t], sizes[axis], mode)
                index = tuple(at[axis] for axis in layout)
                yield image, position, number, None if None in index else index  # type: ignore[misc]


def im2col(
    x: NDArray[Any],
    layout: str,
    window: Window,
    *,
    mode: str = "constant",
    value: complex = 0,
    orientation: str = "rows",
    tap_order: str = "channel-first",
) -> NDArray[Any]:
    """Return the column matrix, entry by entry."""
    sizes = dict(zip(layout, x.shape, strict=True))
    taps = sizes.get("C", 1) * int(np.prod(window.kernel_size))
    matrix = np.full((sizes.get("N", 1), int(np.prod(window.output_shape)), taps), value, x.dtype.newbyteorder("="))
    for image, position, tap, index in entries(x.shape, layout, window, mode, tap_order):
        if index is not None:
            matrix[image, position, tap] = x[index]
    if orientation == "columns":
        matrix = matrix.transpose(0, 2, 1)
    return matrix if "N" in layout else matrix[0]


def col2im(
    columns: NDArray[Any],
    image_shape: Sequence[int],
    layout: str,
    window: Window,
    *,
    mode: str = "constant",
    orientation: str = "rows",
    tap_order: str = "channel-first",
    reduce: str = "sum",
) -> NDArray[np.object_]:
    """Return the sum or the mean of each pixel's copies, as Python numbers; integers are exact and unbounded."""
    matrix = columns if "N" in layout else columns[None]
    if orientation == "columns":
        matrix = matrix.transpose(0, 2, 1)
    copies: dict[tuple[int, ...], list[Any]] = {index: [] for index in np.ndindex(*image_shape)}
    for image, position, tap, pixel in entries(image_shape, layout, window, mode, tap_order):
        if pixel is not None:
            copies[pixel].append(matrix[image, position, tap].item())
    result = np.zeros(image_shape, object)
    for index, values in copies.items():
        if values and reduce == "mean":
            result[index] = sum(values) // len(values) if isinstance(values[0], int) else sum(values) / len(values)
        else:
            result[index] = sum(values)
    return result


def overlap_count(window: Window, mode: str = "constant") -> NDArray[np.int64]:
    """Count how often each pixel is read."""
    counts = np.zeros(window.spatial_shape, np.int64)
    layout = "ABDEFGHIJ"[: counts.ndim]
    for _, _, _, pixel in entries(window.spatial_shape, layout, window, mode):
        if pixel is not None:
            counts[pixel] += 1
    return counts


def conv(x: NDArray[Any], w: NDArray[Any], window: Window, groups: int = 1) -> NDArray[Any]:
    """Return the layer (positions, filters) of an image (C, *spatial) and filters (n, C/groups, *kernel)."""
    result = np.zeros((int(np.prod(window.output_shape)), len(w)), np.result_type(x, w))
    per_group = len(w) // groups
    for position, stop in enumerate(itertools.product(*window.stops)):
        for f, (channel, *tap) in itertools.product(range(len(w)), np.ndindex(*w.shape[1:])):
            pixel = tuple(coordinates[t] for coordinates, t in zip(stop, tap, strict=True))
            if all(0 <= i < n for i, n in zip(pixel, window.spatial_shape, strict=True)):
                first = (f // per_group) * w.shape[1]
                result[position, f] += x[(first + channel, *pixel)] * w[(f, channel, *tap)]
    return result


def matlab_im2col(image: NDArray[Any], block: Pair, kind: str) -> NDArray[Any]:
    """Return MATLAB's ``im2col(A, [m n], kind)``, as https://www.mathworks.com/help/images/ref/im2col.html says.

    A is traversed column by column, and so is each block; 'distinct' blocks are padded with zeros after the image.
    """
    m, n = block
    down, right = (1, 1) if kind == "sliding" else block
    rows, cols = image.shape
    if kind == "distinct":
        padded = np.zeros((rows + (-rows) % m, cols + (-cols) % n), image.dtype)
        padded[:rows, :cols] = image
        image = padded
    columns = [
        [image[i + r, j + c] for c in range(n) for r in range(m)]
        for j in range(0, image.shape[1] - n + 1, right)
        for i in range(0, image.shape[0] - m + 1, down)
    ]
    return np.array(columns, image.dtype).T


def extract_patches(images: NDArray[Any], sizes: Pair, strides: Pair, rates: Pair, padding: str) -> NDArray[Any]:
    """Return ``tf.image.extract_patches`` of (N, H, W, C) images: (N, rows, cols, m·n·C), as its page says.

    VALID: the patches fully contained in the image; SAME: those that start inside of it, centred, zeros outside.
    """
    batch, *spatial, channels = images.shape
    rows, cols = (
        axis_stops(n, k, s, named_padding(padding.lower(), n, k, s, r), r)
        for n, k, s, r in zip(spatial, sizes, strides, rates, strict=True)
    )
    result = np.zeros((batch, len(rows), len(cols), sizes[0], sizes[1], channels), images.dtype)
    for b, i, j, r, c in np.ndindex(*result.shape[:5]):
        y, x = rows[i][r], cols[j][c]
        if 0 <= y < spatial[0] and 0 <= x < spatial[1]:
            result[b, i, j, r, c] = images[b, y, x]
    return result.reshape(batch, len(rows), len(cols), -1)


def layer_sums(
    x: NDArray[Any],
    w: NDArray[Any],
    bias: NDArray[Any] | None,
    layout: str,
    window: Window,
    *,
    groups: int = 1,
    mode: str = "constant",
    value: complex = 0,
    flip: bool = False,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return a layer's sums in the image's layout, tap by tap, and the sums of their terms' magnitudes.

    Floats are summed in a wider type. Integers are summed modulo 2⁶⁴, which is right modulo every smaller width; their
    magnitudes are zeros.
    """
    kinds = {x.dtype.kind, w.dtype.kind}
    exact = kinds <= set("biu")
    wide: Any = np.uint64 if exact else np.longdouble if max(x.itemsize, w.itemsize) > 4 else np.float64
    spatial = [axis for axis in layout if axis not in "NC"]
    image = _canonical(x, layout, spatial).astype(np.int64 if kinds <= set("bi") else wide).astype(wide)
    filters = w.astype(np.int64 if exact and w.dtype.kind == "i" else wide).astype(wide)
    if flip:
        filters = np.flip(filters, tuple(range(2, w.ndim)))
    batch, channels = image.shape[:2]
    # For each axis, stop and tap, the pixel that is seen there, or -1.
    where = [
        np.array([[_or_minus_one(source(i, n, mode)) for i in stop] for stop in axis], np.intp).reshape(-1, k)
        for axis, n, k in zip(window.stops, window.spatial_shape, window.kernel_size, strict=True)
    ]
    sums = np.zeros((batch, groups, len(w) // groups, *window.output_shape), wide)
    sizes = np.zeros(sums.shape, np.float64)
    constant = np.array(value, x.dtype.newbyteorder("=")).astype(np.int64 if exact else wide).astype(wide)
    by_group = filters.reshape(groups, len(w) // groups, *w.shape[1:])
    for tap in np.ndindex(*window.kernel_size):
        picks: tuple[Any, ...] = np.ix_(*(axis[:, t] for axis, t in zip(where, tap, strict=True)))
        pixels = image[(slice(None), slice(None), *picks)]
        for pick in picks:
            pixels = np.where(pick < 0, constant, pixels)
        pixels = pixels.reshape(batch, groups, channels // groups, *window.output_shape)
        factors = by_group[(..., *tap)]
        with np.errstate(all="ignore"):
            sums += np.einsum("ngc...,gfc->ngf...", pixels, factors)
            if not exact:
                sizes += np.einsum("ngc...,gfc->ngf...", np.abs(pixels), np.abs(factors)).astype(np.float64)
    if bias is not None:
        offsets = bias.astype(np.int64 if exact and bias.dtype.kind == "i" else wide).astype(wide)
        offsets = offsets.reshape(groups, -1, *[1] * len(spatial))
        sums += offsets
        sizes += 0 if exact else np.abs(offsets).astype(np.float64)
    shape = (batch, len(w), *window.output_shape)
    order = "NC" + "".join(spatial)
    return tuple(_as_layout(a.reshape(shape), order, layout) for a in (sums, sizes))  # type: ignore[return-value]


def _or_minus_one(i: int | None) -> int:
    return -1 if i is None else i


def _canonical(x: NDArray[Any], layout: str, spatial: list[str]) -> NDArray[Any]:
    """Return the view (N, C, *spatial), with axes of one for letters that the layout lacks."""
    absent = [axis for axis in "NC" if axis not in layout]
    whole = x[(None,) * len(absent)]
    return whole.transpose([("".join(absent) + layout).index(axis) for axis in ("N", "C", *spatial)])


def _as_layout(a: NDArray[Any], order: str, layout: str) -> NDArray[Any]:
    """Return the view in a layout; letters that it lacks have an axis of one."""
    kept = a[tuple(slice(None) if axis in layout else 0 for axis in order)]
    left = [axis for axis in order if axis in layout]
    return kept.transpose([left.index(axis) for axis in layout])


def activated(a: NDArray[Any], name: str | None, slope: float = 0.0) -> NDArray[Any]:
    """Return an activation of every element, as its definition says: NaN stays NaN, -0 may be 0."""
    zero = a.dtype.type(0)
    with np.errstate(all="ignore"):
        if name is None:
            return a
        if name == "relu":
            return np.where(a < zero, zero, a)
        if name == "relu6":
            return np.where(a < zero, zero, np.where(a > 6, a.dtype.type(6), a))
        if name == "leaky_relu":
            return np.where(a < zero, a * a.dtype.type(slope), a)
        if name == "hardswish":
            return a * np.where(a < -3, zero, np.where(a > 3, a.dtype.type(1), (a + 3) / 6))
        sigmoid: NDArray[Any] = 1 / (1 + np.exp(-a))
        return sigmoid if name == "sigmoid" else a * sigmoid


def python_numbers(a: NDArray[Any]) -> NDArray[np.object_]:
    """Return exact Python numbers; a registered dtype, such as bfloat16, goes through float32."""
    return (a.astype(np.float32) if a.dtype.kind == "V" else a).astype(object)


def products(
    image_shape: Sequence[int],
    weight_shape: Sequence[int],
    layout: str,
    window: Window,
    *,
    groups: int = 1,
    mode: str = "constant",
    flip: bool = False,
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...] | None, tuple[int, ...]]]:
    """Yield every product of a convolution as three indices: of the output, the pixel and the weight.

    The pixel's is None where a window sees the constant padding.
    """
    sizes = dict(zip(layout, image_shape, strict=True))
    axes = [axis for axis in layout if axis not in "NC"]
    filters, per_group, *kernel = weight_shape
    outputs = list(np.ndindex(*window.output_shape))
    for position, stop in zip(outputs, itertools.product(*window.stops), strict=True):
        for tap in np.ndindex(*kernel):
            seen = [source(steps[t], sizes[axis], mode) for axis, steps, t in zip(axes, stop, tap, strict=True)]
            weight = tuple(k - 1 - t for k, t in zip(kernel, tap, strict=True)) if flip else tap
            for image, f, c in itertools.product(range(sizes.get("N", 1)), range(filters), range(per_group)):
                channel = f // (filters // groups) * per_group + c
                pixel = None if None in seen else _index(layout, axes, image, channel, seen)
                yield _index(layout, axes, image, f, position), pixel, (f, c, *weight)


def _index(layout: str, axes: list[str], image: int, channel: int, place: Sequence[Any]) -> tuple[int, ...]:
    at = {"N": image, "C": channel} | dict(zip(axes, place, strict=True))
    return tuple(at[axis] for axis in layout)


def input_gradient(
    grad: NDArray[Any], w: NDArray[Any], image_shape: Sequence[int], layout: str, window: Window, **options: Any
) -> NDArray[np.object_]:
    """Return what each pixel of the image contributes: the sum of grad · conj(w) over the products that it is in.

    `options` are those of `products`; the result holds Python numbers.
    """
    ys, ws, result = python_numbers(grad), python_numbers(w), np.full(image_shape, 0, object)
    for output, pixel, weight in products(image_shape, w.shape, layout, window, **options):
        if pixel is not None:
            result[pixel] += ys[output] * ws[weight].conjugate()
    return result


def weight_gradient(
    x: NDArray[Any],
    grad: NDArray[Any],
    weight_shape: Sequence[int],
    layout: str,
    window: Window,
    *,
    value: complex = 0,
    **options: Any,
) -> NDArray[np.object_]:
    """Return what each weight contributes: the sum of conj(x) · grad over the products that it is in.

    `value` is what the constant padding holds; `options` are those of `products`; the result holds Python numbers.
    """
    xs, ys, result = python_numbers(x), python_numbers(grad), np.full(weight_shape, 0, object)
    for output, pixel, weight in products(x.shape, weight_shape, layout, window, **options):
        result[weight] += (value if pixel is None else xs[pixel]).conjugate() * ys[output]
    return result


def conv_transpose(
    x: NDArray[Any],
    w: NDArray[Any],
    layout: str,
    output: Sequence[int],
    before: Sequence[int],
    *,
    stride: Sequence[int],
    dilation: Sequence[int],
    groups: int = 1,
    flip: bool = False,
    bias: NDArray[Any] | None = None,
) -> NDArray[np.object_]:
    """Return the transposed convolution as Python numbers: every pixel adds the kernel, times its value.

    Tap t of the kernel at pixel i falls on ``i·stride + t·dilation - before``; what falls outside of `output`, the
    result's spatial axes, is lost.
    """
    xs, ws = python_numbers(x), python_numbers(w)
    axes = [axis for axis in layout if axis not in "NC"]
    sizes = dict(zip(layout, x.shape, strict=True)) | dict(zip(axes, output, strict=True)) | {"C": groups * w.shape[1]}
    result = np.full([sizes[axis] for axis in layout], 0, object)
    if bias is not None:
        line = [-1 if axis == "C" else 1 for axis in layout]
        result += python_numbers(bias).reshape(line)
    for index in np.ndindex(*x.shape):
        at = dict(zip(layout, index, strict=True))
        f = at.get("C", 0)
        for c, *tap in np.ndindex(*w.shape[1:]):
            steps = zip(axes, tap, stride, dilation, before, strict=True)
            place = [at[axis] * s + t * d - b for axis, t, s, d, b in steps]
            if all(0 <= p < n for p, n in zip(place, output, strict=True)):
                weight = [k - 1 - t for k, t in zip(w.shape[2:], tap, strict=True)] if flip else tap
                channel = f // (len(w) // groups) * w.shape[1] + c
                result[_index(layout, axes, at.get("N", 0), channel, place)] += xs[index] * ws[(f, c, *weight)]
    return result


def wide(a: NDArray[Any]) -> NDArray[Any]:
    """Return small integers of any dtype in the widest dtype of their kind that BLAS multiplies, exactly."""
    return a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)


def transposed_sums(
    x: NDArray[Any], w: NDArray[Any], *, stride: int, dilation: int, groups: int, conjugate: bool
) -> NDArray[Any]:
    """Return all that a transposed convolution of (N, F, H, W) spreads over the plane, tap by tap.

    For layers too large for plain loops: small integers, so that every sum is exact.
    """
    batch, filters, *spatial = x.shape
    whole = [stride * (n - 1) + dilation * (k - 1) + 1 for n, k in zip(spatial, w.shape[2:], strict=True)]
    maps = wide(x).reshape(batch, groups, filters // groups, *spatial)
    factors = wide(w).reshape(groups, filters // groups, *w.shape[1:])
    result = np.zeros((batch, groups, w.shape[1], *whole), maps.dtype)
    for tap in np.ndindex(*w.shape[2:]):
        place: list[Any] = [
            slice(t * dilation, t * dilation + stride * n, stride) for t, n in zip(tap, spatial, strict=True)
        ]
        factor = factors[(..., *tap)].conj() if conjugate else factors[(..., *tap)]
        result[(..., *place)] += np.einsum("ngfyx,gfc->ngcyx", maps, factor, optimize=True)
    return result.reshape(batch, groups * w.shape[1], *whole)


def quantized_sums(
    x: NDArray[Any],
    w: NDArray[Any],
    layout: str,
    window: Window,
    *,
    x_zero_point: int = 0,
    w_zero_point: int | Sequence[int] = 0,
    bias: NDArray[Any] | None = None,
    value: int | None = None,
    **options: Any,
) -> NDArray[np.object_]:
    """Return the sums of (x - x_zero_point)·(w - w_zero_point of the filter) as Python integers, term by term.

    `value` is what the constant padding holds, the zero point if None; `options` are those of `products`.
    """
    axes = [axis for axis in layout if axis not in "NC"]
    sizes = dict(zip(layout, x.shape, strict=True)) | dict(zip(axes, window.output_shape, strict=True))
    sizes |= {"C": len(w)}
    each = [w_zero_point] * len(w) if isinstance(w_zero_point, int) else list(w_zero_point)
    xs, ws = python_numbers(x), python_numbers(w)
    padded = x_zero_point if value is None else value
    result = np.full([sizes[axis] for axis in layout], 0, object)
    if bias is not None:
        result += python_numbers(bias).reshape([-1 if axis == "C" else 1 for axis in layout])
    for output, pixel, weight in products(x.shape, w.shape, layout, window, **options):
        entry = padded if pixel is None else xs[pixel]
        result[output] += (entry - x_zero_point) * (ws[weight] - int(each[weight[0]]))
    return result


def shifted_sums(
    x: NDArray[Any],
    w: NDArray[Any],
    layout: str,
    window: Window,
    *,
    x_zero_point: int = 0,
    w_zero_point: int | Sequence[int] = 0,
    bias: NDArray[Any] | None = None,
    value: int | None = None,
    **options: Any,
) -> NDArray[np.int32]:
    """Return `quantized_sums` in int32, for layers too large for plain loops: `layer_sums` of shifted arrays."""
    image = x.astype(np.int64) - x_zero_point
    filters = w.astype(np.int64) - np.reshape(w_zero_point, (-1, *[1] * (w.ndim - 1)))
    constant = 0 if value is None else value - x_zero_point
    sums, _ = layer_sums(image, filters, bias, layout, window, value=constant, **options)
    return sums.astype(np.int32)


def wrapped(sums: NDArray[np.object_]) -> NDArray[np.int32]:
    """Return Python integers modulo 2³², as int32."""
    values = [(v + 2**31) % 2**32 - 2**31 for v in sums.ravel().tolist()]
    return np.array(values, np.int32).reshape(sums.shape)


def requantized(
    sums: NDArray[np.int32],
    factors: Sequence[float],
    zero_point: int,
    dtype: np.dtype[Any],
    channel: int | None = None,
    relu: bool = False,
) -> NDArray[Any]:
    """Return ``saturate(round(float32(sum)·factor) + zero_point)``, one number at a time.

    Parameters
    ----------
    sums : ndarray of int32
    factors : sequence of float
        Of each filter, numbers that float32 has; see `rescaling`.
    zero_point : int
    dtype : dtype
        int8 or uint8.
    channel : int, optional
        The axis of the filters; None where there is one filter and no axis for it.
    relu : bool
        Whether numbers below 0 become 0.
    """
    least, most = (-128, 127) if dtype == np.int8 else (0, 255)
    result = np.empty(sums.shape, dtype)
    for index in np.ndindex(*sums.shape):
        factor = factors[0 if channel is None else index[channel]]
        # The product of two float32 numbers is exact in Python's floats; Python rounds halves to the even integer.
        value = _float32(_float32(int(sums[index])) * factor)
        rounded = round(min(max(value, 0 if relu else -1000), 1000))  # infinity is no integer
        result[index] = min(max(rounded + zero_point, least), most)
    return result


def rescaling(x_scale: float, w_scale: Sequence[float], y_scale: float) -> list[float]:
    """Return ``x_scale·w_scale/y_scale`` of each filter in float32, rounded after each of the two operations."""
    x, y = _float32(x_scale), _float32(y_scale)
    return [_float32(_float32(x * _float32(w)) / y) for w in w_scale]


def _float32(value: float) -> float:
    """Return the nearest number that float32 has, infinity beyond the largest."""
    with np.errstate(over="ignore"):
        return float(np.float32(value))
