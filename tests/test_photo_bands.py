"""The bands of a filter: memory that is asked for, rows that are converted once."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from im2col import MemoryBudgetError
from im2col.photo.filtering import filter_photo
from im2col.photo.image_files import Photo
from im2col.photo.reach import within_reach
from im2col.spec.padding import resolve_geometry

from .kit.budget import assert_within_budget
from .kit.outcomes import raises_exactly
from .kit.photographs import RNG, smooth


@pytest.mark.parametrize(
    ("kernel", "options", "window"),
    [
        ("blur", {"dilation": 1_000_000}, 2_000_001),
        ("blur", {"dilation": 1_000_000, "padding_mode": "wrap"}, 4_000_001),
        (np.ones((3_000_001, 1)), {"padding_mode": "wrap"}, 3_000_001),
    ],
)
def test_a_window_beyond_the_memory_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, kernel: Any, options: Any, window: int
) -> None:
    """The budget is asked for the bands."""
    monkeypatch.setattr("im2col.engine.host.available_memory", lambda: 1 << 24)
    with pytest.raises(
        MemoryBudgetError,
        match=rf"\Afilter_photo: filtering [\d]+ × [\d]+ pixels, padded, with a window of {window} rows would take .* "
        r"but 16\.0 MiB are available; use a smaller kernel or dilation, or scale the photograph down first\Z",
    ):
        filter_photo(Photo(smooth("u1", 3)), kernel, **options)


@pytest.mark.parametrize("span", [1, 2, 9, 31, 60])
def test_a_row_is_converted_once(monkeypatch: pytest.MonkeyPatch, span: int) -> None:
    """However high the window is, and however small the bands: the rows of the padded photograph are filled once."""
    from im2col.photo import bands

    filled = []
    fill = bands.Bands._fill

    def counted(self: Any, part: Any, rows: Any) -> None:
        filled.append(len(rows))
        fill(self, part, rows)

    monkeypatch.setattr(bands, "BAND_SAMPLES", 1)
    monkeypatch.setattr(bands.Bands, "_fill", counted)
    samples = RNG.integers(0, 256, (100, 6, 1), np.uint8)
    filter_photo(Photo(samples), np.ones((span, 1)) / span)
    assert sum(filled) == 100 + span - 1


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("stride", [1, 16])
def test_the_budget_is_asked_for_all_that_is_taken(alpha: bool, stride: int) -> None:
    """Where most of a band is shared with the next one, too."""
    samples = RNG.integers(0, 256, (1500, 700, 3), np.uint8)
    photo = Photo(samples, samples[:, :, 0] if alpha else None)
    assert_within_budget(lambda: filter_photo(photo, "blur", stride=stride, dilation=(100, 1), threads=1))


def test_signed_is_for_integers() -> None:
    """Floating-point samples hold negative results as they are."""
    from im2col import ArgumentError

    with raises_exactly(
        ArgumentError,
        "filter_photo: signed is for integers: floating-point samples hold negative results as they are",
    ):
        filter_photo(Photo(smooth("f4", 3)), "laplacian", signed=True)


@pytest.mark.parametrize("mode", ["edge", "constant", "wrap"])
@pytest.mark.parametrize("padding", ["same", "full", "same_lower", "causal", ((44, 60), (70, 29))])
def test_taps_beyond_the_photograph_are_merged(mode: Any, padding: Any) -> None:
    """A window far greater than the photograph gives what NumPy's padding and a sum over taps give."""
    (height, width), size = (6, 9), (41, 30)
    samples = RNG.integers(0, 256, (height, width, 1), np.uint8)
    weights = RNG.integers(-3, 4, size).astype(float)
    for stride, dilation in itertools.product((1, 2, (5, 3)), (1, 2, (2, 3))):
        geometry = resolve_geometry("HW", (height, width), size, stride, padding, dilation)
        options: Any = {"stride": stride, "dilation": dilation, "padding": padding, "padding_mode": mode}
        result = filter_photo(Photo(samples), weights, algorithm="explicit", **options)
        padded = np.pad(samples[:, :, 0].astype(float), geometry.padding, mode=mode)
        windows = np.lib.stride_tricks.sliding_window_view(padded, geometry.span)
        (down, across), (dy, dx) = geometry.stride, geometry.dilation
        expected = np.einsum("yxij,ij->yx", windows[::down, ::across, ::dy, ::dx], weights)
        np.testing.assert_array_equal(result.samples[:, :, 0], expected.clip(0, 255))
        merged, window = within_reach(weights[None, None], geometry, mode)
        assert window.output_shape == geometry.output_shape
        assert merged.sum() == weights.sum()
        if mode == "wrap":
            assert merged.shape[2:] == size
        elif padding == "same":
            assert all(taps <= 2 * n + 1 for taps, n in zip(merged.shape[2:], (height, width), strict=True))


def test_a_kernel_of_three_million_rows_is_no_more_than_the_photograph() -> None:
    """At the edge, which is the default, all but a few of its rows see the same."""
    result = filter_photo(Photo(smooth("u1", 3)), np.ones((3_000_001, 1)) / 3_000_001)
    edges = smooth("u1", 3)[[0, -1]].astype(float).mean(axis=0)
    np.testing.assert_allclose(result.samples, np.broadcast_to(edges, result.samples.shape), rtol=0, atol=0.51)
