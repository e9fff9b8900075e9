"""The public convolutions: they check what the user passes, then run it once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from ..engine import compiler
from ..engine.threads import resolve_threads
from ..errors import ShapeError
from ..importing import importing
from ..memory import memoized
from ..spec.arguments import integer, word
from ..spec.arrays import as_array, is_registered, native, same_kind
from ..spec.problem import WORKSPACE_LIMIT, Options, keywords, make_problem, refuse_unknown
from ..spec.quantization import are_small, are_zero, centred, check_bytes, zero_point
from .again import run_once
from .operation import Work, checked_bias
from .stages import Convolution

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from ..spec.activation import ActivationArgument
    from ..spec.geometry import Window
    from ..spec.padding import Padding, PaddingMode
    from ..spec.problem import Precision, Problem

    Array = NDArray[Any]


@same_kind
def conv(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Window = 1,
    padding: Padding = 0,
    dilation: Window = 1,
    groups: int = 1,
    padding_mode: PaddingMode = "constant",
    padding_value: complex | NDArray[Any] | None = None,
    layout: str | None = None,
    activation: ActivationArgument | None = None,
    flip: bool = False,
    dtype: DTypeLike | None = None,
    precision: Precision = "native",
    chunked: bool = False,
    x_zero_point: int = 0,
    w_zero_point: ArrayLike = 0,
    algorithm: str = "auto",
    workspace_limit: int = WORKSPACE_LIMIT,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
) -> NDArray[Any]:
    """Convolve an image with filters, over any number of spatial axes.

    As in deep learning, the kernel is not flipped (signal processing calls that cross-correlation); `flip` flips it.

    Parameters
    ----------
    x : array_like
        The image: k spatial axes, or (C, *spatial), or (N, C, *spatial), or as `layout` says, with k = w.ndim - 2.
    w : array_like, (n, C/groups, *kernel)
        The filters. Group g of the filters reads group g of the channels.
    bias : array_like, (n,), optional
        Added to each output map.
    stride, dilation : int or tuple of int
        Pixels between neighbouring positions, and between neighbouring taps.
    padding : int, tuple or str
        Pixels around the image: an int; one entry an axis, each an int or a (before, after) pair; or ``"valid"``,
        ``"same"``, ``"same_lower"``, ``"full"``, ``"causal"``, ``"multiple"``, as for `im2col`.
    groups : int
        Into how many groups channels and filters are divided; ``groups=C`` is a depthwise convolution.
    padding_mode : str or mapping of str to str
        ``"constant"``, ``"edge"``, ``"reflect"``, ``"symmetric"`` or ``"wrap"``, as in ``np.pad``; or the modes of
        some axes, all others being constant: ``{"W": "wrap"}`` for panoramas, as for `im2col`.
    padding_value : scalar, or ndarray of shape (C,), optional
        The constant, a value of x's dtype; `x_zero_point` if left out.
    layout : str, optional
        The axes of `x`, such as ``"NHWC"``.
    activation : str or tuple, optional
        Applied last: ``"relu"``, ``"relu6"``, ``("leaky_relu", slope)``, ``"sigmoid"``, ``"silu"``, ``"hardswish"``.
    flip : bool
        Flip the kernel along its spatial axes: the mathematicians' convolution.
    dtype : dtype, optional
        Of the result. If left out, ``np.result_type(x, w)``, but int32 for two operands of 8 bits.
    precision : str
        How much rounding an algorithm that multiplies less may add to floats, measured as the rms error against that of
        a plain sum of all products: ``"strict"`` none, and it mixes no windows; ``"native"`` up to as much again;
        ``"fast"`` so much that errors stay below 2e-5 of the greatest result in float32. Integers are exact.
    chunked : bool
        Take the taps of float sums in an order that no image's size decides: parts of an image, each with the pixels
        around it that its windows cover, then give the bits of the whole. `implicit` and `reference` can, and
        `separable` where there is one group; a padded image is copied.
    x_zero_point, w_zero_point : int, or array_like (n,) for the filters
        For int8 and uint8: what stands for 0, subtracted first. With them it is ONNX's ConvInteger.
    algorithm : str
        ``"auto"``, or one by name: ``"implicit"`` (compiled kernels that multiply through the view of the column
        matrix, which is never made), ``"winograd"`` and ``"fft"`` (tiles of image and filters, transformed so that
        fewer products are enough: floats, stride 1, for 3 or 5 taps along an axis, or for up to 16; ``"auto"`` takes
        them in plans alone, as filters take long to transform), ``"separable"`` (one pass down the columns and one
        along the rows, for each term of kernels that are sums of few columns times rows: floats, two spatial axes,
        filters that share no channels; ``"auto"`` looks at the weights of plans and of large images), ``"explicit"``
        (the column matrix, block by block, then BLAS), ``"reference"`` (plain loops).
    workspace_limit : int
        Bytes that blocks of the column matrix may take, all threads together.
    out : ndarray, optional
        Where to write; the result's shape and dtype, any strides, no memory shared with `x` or `w`.
    threads : int, optional
        How many threads may work; see `set_threads`. The result does not depend on it.

    Returns
    -------
    ndarray
        A new array (or `out`) in the layout of `x`: (N, n, *output) for (N, C, *spatial). For tensors of torch and
        arrays of JAX or the array API standard it is of the kind of `x`, here and everywhere (docs/arrays.md). Floats
        are summed in the result's precision, float16 and bfloat16 in float32; integers are exact and wrap as NumPy's
        do.

    Raises
    ------
    ShapeError, LayoutError, GeometryError, ArgumentError, DTypeError, OutputError
        If an argument does not fit; nothing has been written then.
    MemoryBudgetError
        If the result would not fit the available memory.

    See Also
    --------
    plan : the same, prepared once and run many times.
    quantized_conv : int8 or uint8 in and out.
    im2col, weight_matrix : the two factors of the product.

    Notes
    -----
    ``y[n, f, o] = bias[f] + sum over c, t of x_padded[n, c, o·stride + t·dilation] · w[f, c, t]``

    Where a CPU multiplies bfloat16 by an instruction of its own (AVX-512 BF16), `implicit` uses it: it takes denormal
    pixels, weights and sums as 0. Elsewhere bfloat16 is widened to float32, as float16 always is.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import conv
    >>> x = np.arange(32).reshape(2, 4, 4)
    >>> conv(x, np.ones((1, 2, 3, 3), int), stride=1)
    array([[[234, 252],
            [306, 324]]])
    """
    options = locals()  # every argument, by its name
    arrays = options.pop("x"), options.pop("w"), options.pop("bias"), options.pop("out")
    return run_once(None, *arrays, options, checked)


@same_kind
def conv1d(x: ArrayLike, w: ArrayLike, bias: ArrayLike | None = None, **options: Unpack[Options]) -> NDArray[Any]:
    """Convolve along one spatial axis: `conv`, which also takes a plain signal with a plain kernel.

    Parameters
    ----------
    x : array_like
        (W,), (C, W) or (N, C, W), or as `layout` says.
    w : array_like, (n, C/groups, k) or (k,)
        The filters; a plain kernel for a plain signal.
    bias : array_like, (n,), optional
        Added to each output map.
    **options
        Every keyword of `conv`.

    Returns
    -------
    ndarray
        As `conv`.

    Raises
    ------
    Im2colError
        As `conv`.

    Examples
    --------
    >>> from im2col import conv1d
    >>> conv1d([1, 2, 4, 8], [-1, 1])
    array([1, 2, 4])
    """
    return run_once(1, x, w, bias, options.pop("out", None), options, checked)  # type: ignore[arg-type]  # a mapping


@same_kind
def conv2d(x: ArrayLike, w: ArrayLike, bias: ArrayLike | None = None, **options: Unpack[Options]) -> NDArray[Any]:
    """Convolve along two spatial axes: `conv`, which also takes a plain image with a plain kernel.

    Parameters
    ----------
    x : array_like
        (H, W), (C, H, W) or (N, C, H, W), or as `layout` says.
    w : array_like, (n, C/groups, kh, kw) or (kh, kw)
        The filters; a plain kernel for a plain image.
    bias : array_like, (n,), optional
        Added to each output map.
    **options
        Every keyword of `conv`.

    Returns
    -------
    ndarray
        As `conv`.

    Raises
    ------
    Im2colError
        As `conv`.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import conv2d
    >>> conv2d(np.arange(9).reshape(3, 3), [[1, 0], [0, 1]])
    array([[ 4,  6],
           [10, 12]])
    """
    return run_once(2, x, w, bias, options.pop("out", None), options, checked)  # type: ignore[arg-type]  # a mapping


@same_kind
def conv3d(x: ArrayLike, w: ArrayLike, bias: ArrayLike | None = None, **options: Unpack[Options]) -> NDArray[Any]:
    """Convolve along three spatial axes: `conv`, which also takes a plain volume with a plain kernel.

    Parameters
    ----------
    x : array_like
        (D, H, W), (C, D, H, W) or (N, C, D, H, W), or as `layout` says.
    w : array_like, (n, C/groups, kd, kh, kw) or (kd, kh, kw)
        The filters; a plain kernel for a plain volume.
    bias : array_like, (n,), optional
        Added to each output map.
    **options
        Every keyword of `conv`.

    Returns
    -------
    ndarray
        As `conv`.

    Raises
    ------
    Im2colError
        As `conv`.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import conv3d
    >>> conv3d(np.ones((3, 3, 3)), np.ones((2, 2, 2))).shape
    (2, 2, 2)
    """
    return run_once(3, x, w, bias, options.pop("out", None), options, checked)  # type: ignore[arg-type]  # a mapping


def checked(
    spatial: int | None, x: ArrayLike, w: ArrayLike, bias: ArrayLike | None, options: dict[str, Any]
) -> tuple[Work, tuple[Array]]:
    """Return a convolution with its weights, and its image."""
    if not options.keys() <= _KEYWORDS:
        refuse_unknown(f"conv{spatial}d", options, _KEYWORDS)
    image, filters = as_array("x", x, door="im2col.convolve_blocks"), as_array("w", w)
    if spatial is not None and filters.ndim != spatial + 2:
        filters = _filters(image, filters, spatial)
    return convolution(image.shape, image.dtype, filters, bias, **options), (image,)


def _filters(image: NDArray[Any], w: NDArray[Any], spatial: int) -> NDArray[Any]:
    """Return a plain kernel, for a plain image, with all its axes: it becomes one filter of one channel."""
    if w.ndim == spatial == image.ndim:
        return w[None, None]
    axes = "axis" if spatial == 1 else "axes"
    plain = f", or a plain kernel of {spatial} {axes} for a plain image of {spatial}"
    alike = (
        "; to filter each of C channels alike, pass np.stack([w[None]] * C) and groups=C, and layout= for channels last"
    )
    raise ShapeError(
        f"w must be (filters, channels/groups, *kernel), {spatial + 2} axes{plain}; got w of shape {w.shape} "
        f"with an image of shape {image.shape}{alike * (w.ndim == spatial < image.ndim)}"
    )


_KEYWORDS = keywords(conv)
_FIXED = ("auto", "implicit", "reference")
"""Algorithms that sum any layer in one order in all chunks; the numbers whose sums the engine has are NumPy's, and
bfloat16."""


def may_fix(x_dtype: np.dtype[Any], w_dtype: np.dtype[Any], algorithm: object) -> bool:
    """Return whether sums of a layer in chunks can be those of the whole: what ``chunked=True`` asks for."""
    has = (d.name == "bfloat16" if is_registered(d) else d.char not in "gFDG" for d in (x_dtype, w_dtype))
    return word(algorithm) in _FIXED and all(has)


def convolution(
    x_shape: tuple[int, ...],
    x_dtype: np.dtype[Any],
    w: NDArray[Any],
    bias: ArrayLike | None,
    *,
    algorithm: str = "auto",
    threads: int | None = None,
    x_zero_point: object = 0,
    w_zero_point: object = 0,
    scales: NDArray[Any] | None = None,
    **options: Any,
) -> Work:
    """Return a convolution and its weights, all arguments checked; `scales` are those of `quantization.factors`."""
    given = filters = w if w.dtype.isnative else w.astype(native(w.dtype))
    nothing = type(x_zero_point) is type(w_zero_point) is int and x_zero_point == w_zero_point == 0
    if scales is not None or not (nothing or are_zero(len(w) if w.ndim else 0, x_zero_point, w_zero_point)):
        check_bytes("x_zero_point and w_zero_point belong to", x_dtype, filters.dtype)
        options["x_zero_point"] = zero_point("x_zero_point", x_zero_point, x_dtype)
        filters = centred(filters, w_zero_point)
        options["dtype"] = np.dtype(np.int32) if options.get("dtype") is None else options["dtype"]
    if x_dtype.itemsize == filters.dtype.itemsize == 1:
        options["small_weights"] = are_small(filters)
    workers, has_bias = resolve_threads(threads), bias is not None
    given_as = x_shape, filters.shape, x_dtype, filters.dtype, has_bias
    seen: dict[str, Any] | None = None
    if word(algorithm) == "fft":
        seen = {"kernel_terms": _terms(filters)}
    elif _may_factor(filters, options.get("groups", 1)):
        seen = _looked_at(filters, given_as, algorithm, options)
    operation = _decided(*given_as, algorithm, workers, compiler.condition(), **(options | (seen or {})))
    if bias is not None:
        bias = checked_bias(bias, operation.problem.filters, operation.problem.accumulator, fixed=scales is not None)
    return Work(operation, (filters, bias, scales), (given,), seen is not None)


def _may_factor(w: NDArray[Any], groups: object) -> bool:
    """Whether kernels have two axes of several taps, numbers that factors are found of, and no channels in common."""
    if w.ndim != 4 or w.dtype.char not in "fd" or 0 in w.shape or 1 in w.shape[2:]:
        return False
    return 1 in w.shape[:2] or integer("groups", groups, minimum=1) == len(w)


def _looked_at(
    w: NDArray[Any], given_as: tuple[Any, ...], algorithm: object, options: dict[str, Any]
) -> dict[str, Any] | None:
    """Return what is to be known of kernels: their terms, rank, if they are boxes; None where it decides nothing."""
    named = word(algorithm)
    if named not in ("auto", "separable"):
        return None
    problem = _validated(*given_as, **options)
    with importing:
        from ..algorithms.separable.passes import obstacle, worth_a_look

    looks = worth_a_look(problem) if named == "auto" else obstacle(problem) is None
    if not looks:
        return None
    with importing:
        from ..algorithms.separable.boxes import are_boxes
        from ..algorithms.separable.factors import kernel_rank

    rank = kernel_rank(w, problem.precision)
    if rank is None:
        return {}
    return {"kernel_rank": rank, "kernel_terms": _terms(w), "equal_weights": are_boxes(w, problem.precision)}


def _terms(w: NDArray[Any]) -> int:
    """Return how many weights of a kernel are not 0, at least."""
    return int(np.count_nonzero(w, axis=tuple(range(2, w.ndim))).min(initial=w.size))


@memoized
def _validated(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    x_dtype: np.dtype[Any],
    w_dtype: np.dtype[Any],
    has_bias: bool,
    **options: Any,
) -> Problem:
    """Validate a convolution's arguments, all but the arrays' values."""
    return make_problem(x_shape, w_shape, x_dtype, w_dtype, has_bias=has_bias, **options)


@memoized
def _decided(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    x_dtype: np.dtype[Any],
    w_dtype: np.dtype[Any],
    has_bias: bool,
    algorithm: str,
    threads: int,
    engine_condition: str | None,  # noqa: ARG001 (the choice depends on it, so it is a part of what is remembered)
    **options: Any,
) -> Convolution:
    """Validate a convolution's arguments, all but the arrays' values, and choose the algorithm."""
    problem = make_problem(x_shape, w_shape, x_dtype, w_dtype, has_bias=has_bias, **options)
    return Convolution.decided(problem, algorithm, threads)
