"""Borders of the image's own pixels: no copy is made, each tap reads a pixel at another address."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from im2col import conv
from im2col.algorithms.implicit.borders import row_tables, tile_runs
from im2col.algorithms.implicit.decide import decide
from im2col.algorithms.implicit.tiles import mapped
from im2col.algorithms.implicit.tiles.mapped import Reach
from im2col.algorithms.implicit.view import View
from im2col.engine.target import NAMED, host
from im2col.spec.geometry import Geometry
from im2col.spec.padded import shown_at, source_index

from .kit.layers import Case, expected, judge, last, problem_of
from .kit.oracles import Window
from .kit.selection import one_in
from .kit.strategies import PADDING_MODES
from .kit.targets import planning_for

NEAR = {"host": host(), "avx2": NAMED["avx2"]._replace(triple=host().triple)}
MODES = [mode for mode in PADDING_MODES if mode != "constant"]
LAYERS = {
    "rows of many tiles": Case((11, 331), (3, 3), padding=1),
    "a row of two tiles": Case((9, 71), (3, 3), padding=((1, 2), (2, 1))),
    "a row of one tile": Case((13, 37), (3, 3), padding=1),
    "tiles that reach back over the border": Case((7, 131), (3, 5), padding=((2, 0), (4, 1))),
    "a border that only one tap sees": Case((8, 150), (3, 3), padding=((0, 0), (2, 0))),
    "a loop over columns": Case((23, 211), (9, 9), padding=((4, 3), (5, 2))),
    "long windows": Case((29, 83), (15, 15), padding=7),
    "every second pixel": Case((23, 97), (3, 3), stride=2, padding=((1, 0), (2, 1))),
    "every third pixel": Case((19, 151), (5, 3), stride=(2, 3), padding=((2, 2), (4, 0))),
    "dilated rows and columns": Case((17, 79), (3, 3), dilation=(2, 3), padding=3),
    "rows alone": Case((17, 53), (5, 3), padding=((3, 2), (0, 0))),
    "a border beyond the window": Case((9, 61), (2, 2), padding=((6, 5), (1, 1))),
    "colours": Case((14, 67), (3, 3), padding=1, channels=3, filters=5),
    "depthwise": Case((14, 15), (3, 3), padding=1, groups=33),
    "depthwise, stride 2": Case((15, 14), (3, 3), stride=2, padding=((2, 1), (1, 2)), groups=17),
    "depthwise, dilated": Case((11, 13), (3, 3), dilation=(2, 1), padding=2, groups=16),
    "depthwise, a border beyond the window": Case((9, 10), (2, 1), padding=((4, 5), (6, 3)), groups=19),
    "depthwise, long windows": Case((13, 17), (7, 7), padding=3, groups=5),
    "dense": Case((14, 13), (3, 3), padding=1, channels=8, filters=24),
    "dense, unequal": Case((9, 11), (5, 3), stride=(1, 2), padding=((3, 1), (0, 2)), channels=5, filters=19),
    "grouped": Case((9, 10), (3, 3), padding=2, groups=2, channels=4, filters=18),
    "1-d": Case((199,), (9,), padding=4, channels=2, filters=3),
    "1-d, one channel": Case((1009,), (5,), padding=((4, 0),)),
    "3-d": Case((5, 6, 9), (3, 3, 3), padding=1, channels=4, filters=17),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("channels", ["first", "last"])
def test_layers(channels: str, name: str, mode: str) -> None:
    """In both layouts, against loops over the padded image."""
    case = replace(LAYERS[name], mode=mode)
    judge(case if channels == "first" else last(case))


@pytest.mark.parametrize("name", ["rows of many tiles", "every second pixel", "depthwise", "dense"])
@pytest.mark.parametrize("mode", ["reflect", "wrap"])
@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "int16", "int8", "uint8"])
@pytest.mark.parametrize("channels", ["first", "last"])
def test_dtypes(channels: str, dtype: str, mode: str, name: str) -> None:
    """Lanes of other widths, bytes that are widened, and several channels in a lane."""
    if channels == "first":
        judge(replace(LAYERS[name], mode=mode, dtype=dtype, bias=True))
    else:
        judge(replace(last(LAYERS[name]), mode=mode, dtype=dtype, activation="relu"))


APART = {
    "dense": LAYERS["dense"],
    "dilated": Case((17, 28), (2, 3), stride=(4, 1), padding=((0, 0), (1, 1)), dilation=(1, 3), channels=7, filters=31),
    "depthwise": LAYERS["depthwise"],
    "1-d": LAYERS["1-d"],
}


@pytest.mark.parametrize("order", ["sliced", "rotated", "backwards"])
@pytest.mark.parametrize("layout", ["first", "HCW", "last"])
@pytest.mark.parametrize("target", [*NEAR])
@pytest.mark.parametrize("name", APART)
def test_results_that_lie_apart(name: str, target: str, layout: str, order: str) -> None:
    """A decision is for dense results; tables for others know the same borders, though their kernels are longer."""
    case = last(APART[name]) if layout == "last" else APART[name]
    if layout == "HCW" and len(case.spatial) == 2:
        case = replace(case, layout="HCW")
    with planning_for(NEAR[target]):
        judge(replace(case, mode=MODES[len(name) % 4], bias=True, activation="relu", out_order=order))


@pytest.mark.parametrize("first", one_in(2, range(2)))
def test_every_width_of_a_row(first: int) -> None:
    """From rows that no vector is loaded from to rows of several tiles."""
    for width in (3, 7, 8, 15, 16, 17, 19, 31, 32, 33, 34, 35, 47, 51, 63, 64, 65, 66, 67, 79)[first::2]:
        judge(Case((5, width), (3, 3), padding=((1, 1), (2, 1)), mode=MODES[width % 4]))


@pytest.mark.parametrize("target", ["avx512", "avx2"])
@pytest.mark.parametrize("name", ["rows of many tiles", "a loop over columns", "dense", "depthwise", "1-d"])
def test_nothing_is_copied(name: str, target: str) -> None:
    """Such layers read the image where it lies."""
    for case in (LAYERS[name], last(LAYERS[name])):
        for mode in MODES:
            assert decide(problem_of(replace(case, mode=mode), "float32"), NAMED[target]).copy is None


def test_zeros_beside_a_border_of_pixels() -> None:
    """An axis of zeros lets other axes be mapped; one of another constant is copied."""
    for case in (last(LAYERS["dense"]), last(LAYERS["depthwise"])):
        for axis, value in (("H", 0), ("W", 0), ("H", 3)):
            x, w, _ = case.arrays()
            options = case.options | {"padding_mode": {axis: "reflect"}, "padding_value": value}
            pads = [(0, 0), *case.window.padding, (0, 0)]
            only = [pair if letter == axis else (0, 0) for letter, pair in zip("NHWC", pads, strict=True)]
            rest = [pair if letter != axis else (0, 0) for letter, pair in zip("NHWC", pads, strict=True)]
            padded = np.pad(np.pad(x, only, "reflect"), rest, constant_values=value)
            right, _ = expected(replace(case, spatial=padded.shape[1:3], padding=0), padded, w, None)
            np.testing.assert_allclose(conv(x, w, **options, algorithm="implicit"), right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["rows of many tiles", "a loop over columns", "depthwise", "dense"])
def test_the_same_bits(name: str) -> None:
    """For any threads, and any batch an image comes in."""
    for case in (LAYERS[name], last(LAYERS[name])):
        case = replace(case, mode="symmetric", batch=5)  # noqa: PLW2901
        x, w, _ = case.arrays()
        one = conv(x, w, threads=1, **case.options)
        np.testing.assert_array_equal(conv(x, w, threads=7, **case.options), one)
        for n in range(5):
            np.testing.assert_array_equal(conv(x[n : n + 1], w, **case.options), one[n : n + 1])


def view(columns: int, kernel: int, stride: int, padding: tuple[int, int], mode: str) -> View:
    """Return the view of one plane of a row."""
    g = Geometry((1, columns), (1, kernel), (1, stride), ((0, 0), padding), (1, 1))
    out = g.output_shape[-1]
    return View(g, 4, 0, 0, (4 * columns, 4), 4, 0, 0, (4 * out, 4), ("constant", mode))


@pytest.mark.parametrize("mode", MODES)
def test_what_tiles_at_the_ends_see(mode: str) -> None:
    """Every pixel of a tile that a tap meets is the one that padding shows, however long the row."""
    for columns in range(8, 70):
        for kernel, stride, padding in ((5, 1, (3, 2)), (5, 2, (0, 4)), (5, 1, (4, 0)), (9, 1, (7, 8)), (9, 1, (7, 7))):
            seen = view(columns, kernel, stride, padding, mode)
            g, reach = seen.geometry, Reach(16, 16 * stride + kernel - 1, 8 * stride)
            if not mapped.maps_columns(seen, reach):
                assert max(padding) >= 8 * stride or columns < 8 * stride or g.output_shape[-1] > 32
                continue
            shown = np.pad(np.arange(columns), padding, mode)  # type: ignore[call-overload]  # a mode by its name
            first_and_last = mapped.borders(seen, reach)
            starts = [0, max(0, g.output_shape[-1] - 16)][: len(first_and_last)]
            assert len(starts) == 1 + (g.output_shape[-1] > 16)
            for border, start in zip(first_and_last, starts, strict=True):
                at = start * stride
                assert border.first + columns * border.from_end == at - padding[0]
                needed = (min(16, g.output_shape[-1]) - 1) * stride + kernel
                sources = np.array(border.sources[:needed]) % columns
                np.testing.assert_array_equal(sources, shown[at : at + needed])
                assert border.width in (0, columns)
                loads = (border.sources[i : i + reach.load] for i in range(len(border.sources) - reach.load + 1))
                for load in loads:
                    if load != tuple(range(load[0], load[0] + reach.load)):  # of the first pixels, or of the last ones
                        ends = (s if s < reach.load else s - border.width for s in load)
                        assert all(-reach.load <= s < reach.load for s in ends)


@pytest.mark.parametrize("mode", MODES)
def test_kernels_serve_rows_of_any_length(mode: str) -> None:
    """What the first and the last tile of a long row see does not say how long it is."""
    reach = Reach(16, 20, 8)
    first_and_last = mapped.borders(view(90, 5, 1, (3, 2), mode), reach)
    assert [border.width for border in first_and_last] == [0, 0]
    for columns in (50, 131, 1000):
        assert mapped.borders(view(columns, 5, 1, (3, 2), mode), reach) == first_and_last


def test_pieces_cover_rows_and_meet_no_border() -> None:
    """All columns are computed; between the first and the last tile none reads a pixel that is not there."""
    windows = [(5, 1, (2, 2), 16), (5, 1, (0, 4), 16), (5, 2, (4, 0), 16), (5, 3, (1, 3), 16), (9, 1, (7, 7), 8)]
    for columns, (kernel, stride, padding, size) in itertools.product(range(8, 150), windows):
        seen = view(columns, kernel, stride, padding, "edge")
        g, reach = seen.geometry, Reach(size, size * stride + kernel - 1, 8 * stride)
        if not mapped.maps_columns(seen, reach):
            assert columns < max(8 * stride, 3 * size)
            continue
        stops, computed = g.output_shape[-1], set[int]()
        pieces = mapped.mapped_pieces(seen, reach, 3)
        for number, (first, tiles, plain0, plain1, masks, ends) in enumerate(pieces):
            assert masks == 0
            for tile in range(tiles):
                column = first + min(tile * size, ends)
                computed |= set(range(column, min(column + size, stops)))
                if plain0 <= tile < plain1:
                    assert column * stride >= padding[0]
                    assert column * stride - padding[0] + reach.pixels <= columns
                else:
                    assert (number, column) in ((0, 0), (len(pieces) - 1, max(0, stops - size)))
        assert computed == set(range(stops))
        assert max(tiles for _, tiles, *_ in pieces) <= 3
        assert len(pieces) <= 2 + -(-stops // (3 * size))


def test_moved_rows() -> None:
    """How many bytes later a row stands than where the padding has it."""
    window = Window((4, 9), (3, 3), (1, 1), ((2, 1), (0, 0)), (1, 1))
    g = Geometry(window.spatial_shape, window.kernel_size, window.stride, window.padding, window.dilation)
    seen = View(g, 4, 0, 0, (40, 4), 4, 0, 0, (28, 4), ("reflect", "constant"))
    assert mapped.moved_rows(seen).tolist() == [160, 80, 0, 0, 0, 0, -80]
    assert not len(mapped.moved_rows(seen._replace(modes=("constant", "edge"))))
    assert mapped.maps_rows(seen)
    assert not mapped.maps_rows(seen._replace(modes=("constant", "edge")))
    assert mapped.maps_rows(seen._replace(modes=("constant", "constant")))


@pytest.mark.parametrize("mode", PADDING_MODES)
def test_tables_of_rows_and_spans(mode: str) -> None:
    """Followed by hand, they give for every position the pixel under every tap, or say that it is a zero."""
    g = Geometry((4, 3, 7), (3, 2, 3), (1, 2, 1), ((2, 1), (1, 0), (2, 2)), (1, 1, 2))
    pixel = (84, 28, 4)
    seen = View(g, 4, 0, 0, pixel, 4, 0, 0, (1, 1, 1), (mode, "constant", "wrap"))
    number = np.arange(84).reshape(4, 3, 7) + 1
    padded = np.pad(number, ((0, 0), (0, 0), (2, 2)), "wrap")
    padded = np.pad(padded, ((2, 1), (0, 0), (0, 0)), mode)  # type: ignore[call-overload]  # a mode by its name
    padded = np.pad(padded, ((0, 0), (1, 0), (0, 0)))
    taps = g.tap_offsets(pixel)
    columns = set()
    for run in tile_runs(g, 2, "wrap"):
        for rows, spans, tiles in row_tables(seen, run, g.kernel_size, 1):
            columns |= {(run.column, run.tiles)}
            positions = [divmod(i, g.output_shape[1]) for i in range(g.output_shape[0] * g.output_shape[1])]
            for (x, _, entry), (z, y) in zip(rows[:: len(rows) // len(positions)].tolist(), positions, strict=True):
                for m in range(run.positions):
                    found = np.zeros(g.taps, np.int64)
                    for i, segment in enumerate(run.segments):
                        first, stop = spans[entry + 2 * i : entry + 2 * i + 2].tolist()
                        for start, end, moved in spans[3 * first : 3 * stop].reshape(-1, 3).tolist():
                            column = 4 * (m + (segment.moved[m] if segment.moved else 0))
                            at = (x + moved + taps[start:end] + column) // 4
                            found[start:end] = number.reshape(-1)[at]
                    corner = padded[z : z + 3, 2 * y : 2 * y + 2, run.column + m :][..., :5:2]
                    np.testing.assert_array_equal(found, corner.reshape(-1))
            assert tiles >= 1
    assert len(columns) > 2


@pytest.mark.parametrize("mode", PADDING_MODES)
def test_which_pixels_are_shown(mode: str) -> None:
    """As if all of the axis had been padded, however far."""
    for n in (1, 2, 3, 5):
        for before, after in ((0, 0), (1, 2), (4, 13), (31, 0)):
            places = np.arange(-before, n + after)
            np.testing.assert_array_equal(shown_at(places, n, mode), source_index(n, before, after, mode))
