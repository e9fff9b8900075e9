"""Weights that are whole numbers over a divisor, and the bands in which their sums are made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import im2col.photo.bands
import im2col.photo.row_filter
from im2col.photo.filtering import filter_photo
from im2col.photo.kernels import KERNELS, as_kernel, in_whole_numbers
from im2col.photo.photograph import Photo
from im2col.photo.row_filter import RowFilter

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("weights", "divisor"),
    [
        (np.ones((5, 5)) / 25, 25),
        (np.array([[1, 2], [3, 4]]) / 10, 10),
        (np.array([[-1, 6, -1]]) / 4, 4),
        (np.array([[1 / 6, 1 / 10]]), 30),
        (np.array([[0.1, -0.7, 0.0]]), 10),
        (np.array([[3.0, -4.0]]), 1),
        (np.zeros((2, 2)), 1),
    ],
)
def test_fractions_are_found(weights: Any, divisor: int) -> None:
    """Each weight is its whole number over the divisor, as float64 has that."""
    found = in_whole_numbers(as_kernel(weights), 1000)
    assert found.divisor == divisor
    np.testing.assert_array_equal(found.weights, np.rint(found.weights))
    np.testing.assert_array_equal(found.weights / divisor, weights)


@pytest.mark.parametrize(
    "weights",
    [
        np.array([[2**0.5, 1.0]]),
        np.hanning(7)[None],
        (np.ones((5, 5), np.float32) / np.float32(25)).astype(float),  # float64 has the float32, and no 25th
        np.array([[1 / 1009]]),
        np.array([[1 / 31, 1 / 37]]),  # both are small, their common one is not
        np.array([[0.5, 501.0]]),
        np.array([[900.0, -200.0]]),
        np.array([[1e-300, 1.0]]),
    ],
)
def test_others_stay_as_they_are(weights: Any) -> None:
    """Where there is no divisor, or it or the sum of the whole numbers is beyond the limit."""
    kernel = as_kernel(weights)
    assert in_whole_numbers(kernel, 1000) is kernel


def test_named_kernels_have_their_divisors() -> None:
    """They were whole numbers all along."""
    for kernel in KERNELS.values():
        assert in_whole_numbers(kernel, 1 << 20).divisor == kernel.divisor


def rounded(photo: Photo, whole: Any, divisor: int, offset: int) -> Any:
    """Return sums of whole numbers, divided, rounded half to even and clipped, in Python's integers alone."""
    height, width, planes = photo.shape
    (down, across), pixels = whole.shape, photo.samples.tolist()
    result = np.empty((height - down + 1, width - across + 1, planes), photo.dtype)
    for y, x, c in np.ndindex(result.shape):
        total = sum(int(w) * pixels[y + i][x + j][c] for (i, j), w in np.ndenumerate(whole)) + offset * divisor
        nearest, rest = divmod(total, divisor)
        nearest += 2 * rest > divisor or (2 * rest == divisor and nearest % 2)
        result[y, x, c] = min(max(nearest, 0), photo.maximum or 0)
    return result


@given(st.integers(0, 2**32 - 1), st.sampled_from([np.uint8, np.uint16]), st.integers(2, 128), st.booleans(), st.data())
def test_pixels_are_those_of_exact_fractions(seed: int, dtype: Any, divisor: int, signed: bool, data: Any) -> None:
    """Every half is rounded to even, and nothing else is one; where weights, and not sums, are divided, too."""
    rng = np.random.default_rng(seed)
    top = np.iinfo(dtype).max
    if data.draw(st.booleans(), label="greatest divisor"):
        divisor = (1 << 23) // top - data.draw(st.integers(0, 5))
    samples = rng.integers(0, top, (6, 11, 1), dtype, endpoint=True)
    photo = Photo(samples)
    size = rng.integers(1, 4, 2)
    most = max(1, min(30, (1 << 23) // top // int(size.prod())))
    whole = rng.integers(-most // 2, most, size, endpoint=True)
    expected = rounded(photo, whole, divisor, (top + 1) // 2 if signed else 0)
    options: Any = {"padding": "valid", "signed": signed}
    np.testing.assert_array_equal(filter_photo(photo, whole / divisor, **options).samples, expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(im2col.photo.row_filter, "_FEW", 0)
        np.testing.assert_array_equal(filter_photo(photo, whole / divisor, **options).samples, expected)


@pytest.mark.parametrize("algorithm", ["fft", "separable", "explicit", "reference", "implicit", "auto"])
def test_every_algorithm_may_be_asked_for(algorithm: str) -> None:
    """Those that mix windows, too, which exact sums in float32 do not admit: the pixels are the same."""
    photo = Photo(RNG.integers(0, 256, (40, 50, 3), np.uint8))
    found = filter_photo(photo, np.ones((13, 13)) / 169, algorithm=algorithm, padding="valid").samples
    windows = np.lib.stride_tricks.sliding_window_view(photo.samples.astype(np.int64), (13, 13), (0, 1))
    np.testing.assert_array_equal(found, (2 * windows.sum((3, 4)) + 169) // 338)  # 169 is odd: there are no halves


@pytest.mark.parametrize("size", [3, 5, 15])
def test_sums_of_a_mean_are_made_in_float32(size: int) -> None:
    """As those of named kernels: half the memory of float64."""
    photo = Photo(RNG.integers(0, 256, (40, 40, 3), np.uint8))
    assert RowFilter(photo, as_kernel(np.ones((size, size)) / size**2))._dtype == np.float32
    assert RowFilter(photo, as_kernel(np.full((size, size), 2**0.5)))._dtype == np.float64


@pytest.mark.parametrize("algorithm", ["fft", "separable"])
def test_floats_do_not_depend_on_the_threads(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor where an algorithm is asked for by name whose sums follow the height of a band."""
    monkeypatch.setattr(im2col.photo.bands, "BAND_SAMPLES", 20_000)
    photo = Photo(RNG.random((301, 97, 3)))
    weights = RNG.random((31, 31)) if algorithm == "fft" else np.outer(np.hanning(17), np.hanning(17))[1:-1, 1:-1]
    found = [filter_photo(photo, weights, algorithm=algorithm, threads=threads) for threads in (1, 2, 4)]
    for other in found[1:]:
        assert other.samples.tobytes() == found[0].samples.tobytes()


def handed_on(filtering: RowFilter, wanted: int = 0) -> list[Any]:
    """Return the parts of the result as they are handed on."""
    parts: list[Any] = []
    filtering.run(lambda part: parts.append(part.copy()), wanted=wanted)
    return parts


@pytest.mark.parametrize("rows", [1, 7, 60, 301])
@pytest.mark.parametrize("band", [1, 200, 900, 1 << 18])
def test_what_is_handed_on_together_does_not_depend_on_the_threads(
    rows: int, band: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Journals and pieces of PNG files are cut there; the last one may have fewer rows, and pixels are the same."""
    monkeypatch.setattr(im2col.photo.bands, "BAND_SAMPLES", band)
    photo = Photo(RNG.integers(0, 256, (rows, 13, 3), np.uint8))
    found = []
    for threads in (1, 2, 3, 4, 9):
        filtering = RowFilter(photo, KERNELS["blur"], threads=threads)
        handed = handed_on(filtering)
        assert {len(part) for part in handed[:-1]} <= {filtering.bytes_at_once // 39}
        for wanted in range(0, rows, 1 + rows // 5):
            again = np.concatenate(handed_on(filtering, wanted))
            np.testing.assert_array_equal(again, np.concatenate(handed)[wanted:])
        found.append(handed)
    for handed in found[1:]:
        assert [len(part) for part in handed] == [len(part) for part in found[0]]
        np.testing.assert_array_equal(np.concatenate(handed), np.concatenate(found[0]))
