"""64-bit indices: images and matrices of more than 2³¹ elements, without gigabytes of result.

Images whose axes share memory, pixel (i, j) being byte ``i + j`` of a small buffer, have billions of pixels that can be
told apart. They prove that numbers of elements and strides are 64 bits wide; one real array of 3 GiB proves addresses.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import col2im, im2col, output_shape, patches
from im2col.engine import host

from .kit.outcomes import missing

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

LARGE = 2**31
MOST_BYTES = 97
"""Pixel values repeat after a prime number of bytes, so that no stride or wrap-around hides behind a power of 2."""

Array = np.ndarray[Any, Any]


def bytes_of(total: Array) -> Array:
    """Return the values of the bytes at these places of a buffer."""
    return (total % MOST_BYTES).astype(np.int8)


def diagonal_image(*shape: int) -> Array:
    """Return an int8 image in which pixel (i, j, …) is byte ``i + j + …`` of one small buffer."""
    buffer = bytes_of(np.arange(sum(shape)))
    return np.lib.stride_tricks.as_strided(buffer, shape, (1,) * len(shape), writeable=False)


def outer_sum(*axes: ArrayLike) -> Array:
    """Return the sums of one number of each axis, with the axes of all arguments."""
    total: Array = np.zeros((), np.int64)
    for axis in axes:
        total = np.add.outer(total, axis)
    return total


@pytest.mark.parametrize("orientation", ["rows", "columns"])
def test_im2col_of_an_image_of_4_gibi_pixels(orientation: Any) -> None:
    """Every entry of a small matrix, from both ends of an image of 2³² pixels."""
    n = 2**16
    x = diagonal_image(n, n)
    assert x.size > LARGE
    stride, reach = 16_380, 15  # four strides and the window's reach end on the last pixel
    assert 4 * stride + reach == n - 1
    result = im2col(x, (2, 3), stride=stride, dilation=(reach, reach // 2), orientation=orientation)
    starts = np.arange(5) * stride
    expected = outer_sum(starts, starts, [0, reach], np.arange(3) * (reach // 2)).reshape(25, 6)
    np.testing.assert_array_equal(result if orientation == "rows" else result.T, bytes_of(expected))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "CHWN"])
def test_im2col_of_batches_and_channels(layout: str) -> None:
    """The last image and the last channel lie beyond 2³¹ pixels, in any layout."""
    lengths = {"N": 3, "C": 4, "H": 2**13, "W": 2**15}
    x = diagonal_image(*(lengths[a] for a in layout))
    assert x.size > LARGE
    h, w = np.array([0, 2**13 - 2]), np.array([0, 2**15 - 2])
    result = im2col(x, 2, stride=(2**13 - 2, 2**15 - 2), layout=layout)
    expected = outer_sum(np.arange(3), h, w, np.arange(4), [0, 1], [0, 1])
    np.testing.assert_array_equal(result, bytes_of(expected).reshape(3, 4, 16))


def test_im2col_of_a_zero_stride_image() -> None:
    """A single pixel, broadcast to 2³² and padded by a view's own means, is read without being copied."""
    x = np.broadcast_to(np.int8(7), (2**16, 2**16))
    result = im2col(x, 3, stride=2**14)
    assert result.shape == (16, 9)
    assert (result == 7).all()


def test_patches_with_more_than_4_gibi_entries() -> None:
    """A view of all patches of 2³² pixels: 9·2³² entries, each where it belongs."""
    n = 2**16
    view = patches(diagonal_image(n, n), 3, copy=False)
    assert view.shape == (n - 2, n - 2, 3, 3)
    assert view.size > LARGE
    assert view[-1, -1].tolist() == bytes_of(outer_sum([2 * n - 6], range(3), range(3)))[0].tolist()
    assert view[-1, 0, 2, 1] == bytes_of(np.array(n - 1 + 1))
    assert output_shape((n, n), 3) == (n - 2, n - 2)


@pytest.mark.parametrize("orientation", ["rows", "columns"])
@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_col2im_of_a_matrix_of_8_gibi_entries(orientation: Any, reduce: Any) -> None:
    """Most positions lie in the padding, so that few of the matrix's 2³³ entries are needed, at known places."""
    images, pad, kernel = 2**11, 2**20, 2
    positions = 2 + 2 * pad - 1
    columns = diagonal_image(images, positions, kernel)
    assert columns.size > LARGE
    if orientation == "columns":
        columns = columns.transpose(0, 2, 1)
    result = col2im(
        columns, (images, 1, 2), (kernel,), padding=pad, orientation=orientation, layout="NCW", reduce=reduce
    )
    # Pixel q is tap t of position q + pad - t; the entry there is byte image + position + t = image + pad + q.
    entry = bytes_of(outer_sum(np.arange(images), [pad, pad + 1])).astype(np.int64)
    np.testing.assert_array_equal(result[:, 0], kernel * entry if reduce == "sum" else entry)
    assert result.dtype == (np.int64 if reduce == "sum" else np.int8)


def test_col2im_of_a_zero_stride_matrix() -> None:
    """A matrix of 2³⁴ ones, most of them in the padding of a small image."""
    pad = 2**15
    shape = ((4 + 2 * pad - 1) ** 2, 4)
    assert math.prod(shape) > LARGE
    ones = np.broadcast_to(np.int8(1), shape)
    assert (col2im(ones, (4, 4), 2, padding=pad) == 4).all()


@pytest.mark.wide
def test_a_real_array_of_3_gibibytes() -> None:
    """Patches, matrix and fold reach addresses beyond 2³¹ bytes: the last rows of a large image are told apart."""
    available = host.available_memory()
    if available is not None and available < 5 << 30:
        missing("less than 5 GiB of memory are available")
    rows, width = 3 * 2**15, 2**15
    x = np.zeros((rows, width), np.int8)
    x[-70:] = bytes_of(outer_sum(np.arange(70), 3 * np.arange(width)))
    x[:70] = x[:-71:-1]
    start = rows - 66
    view = patches(x, (3, 5), stride=(start, 4001), copy=False)
    matrix = im2col(x, (3, 5), stride=(start, 4001))
    for row, first in enumerate((0, start)):
        for column in range(view.shape[1]):
            window = x[first : first + 3, column * 4001 : column * 4001 + 5].copy()
            assert window.any()
            np.testing.assert_array_equal(view[row, column], window)
            np.testing.assert_array_equal(matrix[row * view.shape[1] + column], window.ravel())
    # The same memory as a matrix. Padded like this, the last position has its first taps on the image, the one before
    # it has the next ones, and so on upwards.
    folded = col2im(x, (5,), (width,), padding=((rows - 1, width - 5),))
    last = np.arange(70)
    expected = [int(x[rows - 1 - last, pixel + last].sum(dtype=np.int64)) for pixel in range(5)]
    assert len(set(expected)) == 5
    assert folded.tolist() == expected
