"""The bands of a filter: memory that is asked for, rows that are converted once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from im2col import MemoryBudgetError
from im2col.photo.filtering import filter_photo
from im2col.photo.image_files import Photo

from .kit.outcomes import raises_exactly
from .kit.photographs import (
    RNG,
    smooth,
)


@pytest.mark.parametrize(
    ("kernel", "options", "window"),
    [("blur", {"dilation": 1_000_000}, 4_000_001), (np.ones((3_000_001, 1)), {}, 3_000_001)],
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


def test_signed_is_for_integers() -> None:
    """Floating-point samples hold negative results as they are."""
    from im2col import ArgumentError

    with raises_exactly(
        ArgumentError,
        "filter_photo: signed is for integers: floating-point samples hold negative results as they are",
    ):
        filter_photo(Photo(smooth("f4", 3)), "laplacian", signed=True)
