"""Images that are copied band by band, each just before it is read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import conv, plan
from im2col.algorithms.implicit import bands, decide, prepared
from im2col.algorithms.implicit.prepared import DecidedLayer
from im2col.algorithms.implicit.tiles.filters import FilterShape
from im2col.engine.target import host

from .kit.layers import LAYERS, Case, assert_same_bits, judge, last, problem_of
from .kit.selection import one_in
from .kit.targets import forget_choices, with_kinds

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = {name: case for name, case in LAYERS.items() if case.channels * case.groups > 1 and case.dtype == "float32"}
BATCH = Case((14, 13), (3, 3), padding=1, batch=6, channels=20, filters=24, bias=True)


@pytest.fixture(params=[0.0, 0.02])
def copies(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each image be copied that may be: in bands that are as small as can be, and in some that are not."""
    monkeypatch.setattr(decide, "_copied_cycles", lambda *_: -1e12)
    monkeypatch.setattr(bands, "_KEPT", request.param)
    with with_kinds(FilterShape):
        yield
    forget_choices()


@pytest.mark.usefixtures("copies")
@pytest.mark.parametrize("name", one_in(5, CASES))
@pytest.mark.parametrize("channels", ["first", "last"])
def test_results(channels: str, name: str) -> None:
    """Of all kinds of layers, in both layouts, where they lie dense and where they do not."""
    case = CASES[name] if channels == "first" else last(CASES[name])
    judge(replace(case, threads=2))
    judge(replace(case, x_order="within"))


@pytest.mark.usefixtures("copies")
@pytest.mark.parametrize("name", one_in(12, CASES))
def test_the_same_bits(name: str) -> None:
    """For any number of threads and in any batch."""
    assert_same_bits(CASES[name])
    assert_same_bits(last(CASES[name]))


@pytest.mark.usefixtures("copies")
@pytest.mark.parametrize("most", [1, 40, 10**6])
def test_a_batch_in_several_lists(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One list of steps is for as many images as it has room for, and no bit depends on it."""
    once = judge(BATCH)
    monkeypatch.setattr(prepared, "_MOST_STEPS", most)
    forget_choices()
    assert judge(replace(BATCH, threads=3)).tobytes() == once.tobytes()
    x, w, bias = BATCH.arrays()
    ready = plan(BATCH.x_shape, w, bias, algorithm="implicit", threads=1, **BATCH.options)
    out = np.full_like(once, np.nan)
    assert all(ready(x, out).tobytes() == once.tobytes() for _ in range(3))


@pytest.mark.usefixtures("copies")
@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("first", [0, 4])
def test_bands_read_what_they_copy(first: int, threads: int) -> None:
    """Every row of every table is computed once, from rows of the image that are in its band."""
    for case in list(CASES.values())[first + threads % 4 :: 8]:
        problem = problem_of(case, "float32")
        layer = DecidedLayer(problem, decide.decide(problem, host()), threads)
        copy = layer.decision.banded
        if copy is None:
            continue
        runs = layer.tables.runs
        assert layer.calls is not None
        assert layer.calls.room_bytes == layer.more_copied_bytes + copy.copy.nbytes, "what a plan says that it takes"
        found = copy.bands(
            layer.tables.starts, [(0, run.rows) for run in runs], (0, layer.tables.groups), host().caches[1]
        )
        g, per = copy.view.geometry, copy.source.per
        for i, run in enumerate(runs):
            computed = [row for band in found for row in range(*band.rows[i])]
            assert computed == list(range(run.rows))
            for band in found:
                for row in range(*band.rows[i]):
                    position = run.tables[1][row, 1] // copy.view.out_position[0]
                    for tap in range(g.kernel_size[0]):
                        pixel = position * g.stride[0] + tap * g.dilation[0] - g.padding[0][0]
                        assert not 0 <= pixel < g.spatial_shape[0] or band.first <= pixel // per < band.stop


@pytest.mark.usefixtures("copies")
def test_bands_are_cut_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A great image has a hundred thousand bands, and its plan is to be refused, or made, in seconds."""
    found = (DecidedLayer(p, decide.decide(p, host()), 1) for p in (problem_of(c, "float32") for c in CASES.values()))
    layer = next(each for each in found if each.decision.banded is not None and not each.decision.banded.planes)
    copy, runs = layer.decision.banded, layer.tables.runs
    assert copy is not None
    searches: list[object] = []
    search = np.searchsorted

    def counted(*given: Any) -> Any:
        searches.append(given)
        return search(*given)

    monkeypatch.setattr(np, "searchsorted", counted)
    for second in (1, 1 << 30):
        searches.clear()
        assert copy.bands(layer.tables.starts, [(0, run.rows) for run in runs], (0, layer.tables.groups), second)
        assert len(searches) == len(runs)


def test_other_copies_are_made_whole() -> None:
    """Those of converted numbers, and those with padding."""
    for case, dtype in (
        (LAYERS["dense"], "float16"),
        (replace(LAYERS["dense"], mode="constant", value=2.0), "float32"),
    ):
        problem = problem_of(case, dtype)
        copied = [made for made, _ in decide.candidates(problem, host()) if made.copy]
        assert copied
        assert [made for made in copied if made.banded] == []


@pytest.mark.usefixtures("copies")
def test_calls_that_come_again_are_right() -> None:
    """The first calls of one layer, the later ones of which find everything ready."""
    x, w, bias = BATCH.arrays()
    results = {conv(x, w, bias, algorithm="implicit", **BATCH.options).tobytes() for _ in range(5)}
    assert len(results) == 1
