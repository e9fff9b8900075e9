"""Windows of one pixel with a stride: a copy has the pixels where they stop, and none of those between."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from im2col.algorithms.implicit import decide, view
from im2col.engine.target import NAMED, host

from .kit.layers import Case, assert_same_bits, judge, last, problem_of
from .kit.selection import one_in
from .kit.targets import forget_choices

if TYPE_CHECKING:
    from collections.abc import Iterator

STOPS = {
    "2": Case((13, 11), (1, 1), stride=2, channels=24, filters=40, bias=True),
    "3 by 1": Case((13, 11), (1, 1), stride=(3, 1), batch=3, channels=7, filters=19),
    "1 by 5": Case((4, 31), (1, 1), stride=(1, 5), groups=2, channels=5, filters=9),
    "1-d": Case((41,), (1,), stride=4, channels=17, filters=3),
    "3-d": Case((5, 6, 7), (1, 1, 1), stride=(2, 3, 2), channels=3, filters=17),
    "dilated, which means nothing": Case((9, 9), (1, 1), stride=2, dilation=3, channels=8, filters=8),
    "halves": Case((9, 8), (1, 1), stride=2, channels=24, filters=40, dtype="float16"),
    "bytes": Case((9, 8), (1, 1), stride=2, channels=24, filters=40, dtype="int8", bias=True),
    "bytes without a sign": Case((9, 8), (1, 1), stride=2, batch=5, channels=21, filters=40, dtype="uint8"),
}


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each image be copied that may be."""
    monkeypatch.setattr(decide, "_copied_cycles", lambda *_: -1e12)
    forget_choices()
    yield
    forget_choices()


@pytest.mark.usefixtures("copies")
@pytest.mark.parametrize("name", STOPS)
def test_results(name: str) -> None:
    """Of copies with the stops alone, some of several images."""
    for case in (STOPS[name], last(STOPS[name])):
        copy = decide.decide(problem_of(case, case.dtype), host()).copy
        assert copy is not None
        assert copy.step == case.window.stride
        assert copy.shape[1:] == tuple(map(len, case.window.stops))
        judge(replace(case, out_order="within"))
        judge(replace(case, threads=3, x_order="within"))


@pytest.mark.usefixtures("copies")
@pytest.mark.parametrize("name", one_in(4, STOPS))
def test_the_same_bits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For any number of threads and in any batch, of which a few images are copied together."""
    monkeypatch.setattr(view, "_COPIES_BYTES", 7000)
    assert_same_bits(STOPS[name])
    assert_same_bits(last(STOPS[name]))


def test_other_windows_read_what_lies_between() -> None:
    """Those of several pixels, those that see padding, and those without a stride."""
    for case in (
        Case((9, 9), (2, 2), stride=2, channels=24, dtype="float16"),
        Case((9, 9), (1, 1), stride=2, padding=1, channels=24, dtype="float16"),
        Case((9, 9), (1, 1), channels=24, dtype="float16"),
    ):
        copy = decide.decide(problem_of(case, "float16"), NAMED["avx2"]).copy
        assert copy is not None
        assert copy.step == (1, 1)
        assert copy.shape[1:] == case.spatial


def test_small_images_are_read_where_they_lie() -> None:
    """A call of several calls of the engine takes longer than what a copy saves; ResNet's layers are copied."""
    for n, channels in ((9, 64), (16, 32)):
        small = Case((n, n), (1, 1), stride=2, channels=channels, filters=2 * channels)
        assert decide.decide(problem_of(small, "float32"), NAMED["avx2"]).copy is None
    large = Case((56, 56), (1, 1), stride=2, channels=256, filters=512)
    copy = decide.decide(problem_of(large, "float32"), NAMED["avx2"]).copy
    assert copy is not None
    assert (copy.step, copy.why) == ((2, 2), "its stops alone")
