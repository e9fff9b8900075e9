"""Tiles of whole windows, channels along the lanes: all that fit a layer, wherever its arrays lie; bytes, too."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import plan, quantized_conv
from im2col.algorithms.implicit.decide import BestTile, decide
from im2col.algorithms.implicit.packing import pack
from im2col.algorithms.implicit.tiles.channel_lanes import ChannelShape
from im2col.algorithms.implicit.tiles.window_lanes import packed_filters
from im2col.algorithms.implicit.tiles.windows import WindowShape
from im2col.algorithms.implicit.work import Calls
from im2col.engine.target import NAMED, host

from .kit.layers import Case, assert_within, expected, judge, last, problem_of
from .kit.oracles import Window, layer_sums
from .kit.outcomes import require
from .kit.selection import one_in
from .kit.targets import assembly, planning_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from im2col.engine.target import Target

    Array = NDArray[Any]


@pytest.fixture(autouse=True)
def _engine() -> None:
    """Ask for the compiler."""
    require("llvmlite")


def shapes(case: Case, target: Target) -> list[WindowShape]:
    """Return the tiles of whole windows that fit a layer."""
    decision = decide(problem_of(case, case.dtype), target)
    return list(WindowShape.candidates(decision.view, decision.group, target, dot=None))


def placed(array: Array, at: int) -> Array:
    """Return an array that starts so many bytes behind a line of the cache."""
    room = np.empty(array.nbytes + 128, np.uint8)
    start = -room.ctypes.data % 64 + at
    copy: Array = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def computed(case: Case, shape: Any, x: Array, w: Array, out: Array, target: Target | None = None) -> Array:
    """Convolve with a given tile, on this CPU or one whose instructions it has."""
    problem, target = problem_of(case, case.dtype), target or host()
    decision = decide(problem, target)
    plain = decision.epilogue._replace(bias=False, activation=None)
    decision = decision._replace(tile=BestTile(shape, 0.0), epilogue=plain)
    tables = decision.tables(decision.view)
    packed = pack(tables.places, decision.packed_group, w, None, decision.packed_dtype, 1)
    calls = Calls(tables, target, problem.batch, case.threads, problem.flops)
    calls.run(x, out, *packed)
    return out


TILED = {
    "borders": Case((5, 9), (3, 3), padding=1, groups=50),
    "stride 2": Case((8, 13), (3, 3), stride=2, padding=1, groups=48),
    "padding on one side": Case((4, 7), (2, 3), padding=((2, 0), (0, 2)), groups=33),
    "dilated": Case((9, 11), (3, 2), dilation=(2, 3), padding=3, stride=(1, 2), groups=17),
    "one row": Case((1, 40), (1, 3), padding=((0, 0), (1, 1)), groups=21),
    "1-d": Case((40,), (5,), padding=2, groups=19),
    "a batch of doubles": Case((4, 5), (3, 3), padding=1, groups=24, batch=2, dtype="float64"),
}


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("name", TILED)
def test_every_tile_computes_the_same_bits(name: str, first: int) -> None:
    """The right ones: those that a tile gives that walks a window row by row."""
    case = last(TILED[name])
    x, w, _ = case.arrays()
    exact, bound = expected(case, x, w, None)
    decision = decide(problem_of(case, case.dtype), host())
    looped = next(ChannelShape.candidates(decision.view, decision.group, host(), dot=None))
    reference = computed(case, looped, x, w, np.full(exact.shape, np.nan, x.dtype))
    assert_within(reference, exact, bound)
    fitting = shapes(case, host())
    assert {shape.rows for shape in fitting} == (
        {1, 2} if min(case.window.output_shape[0], len(case.kernel)) > 1 else {1}
    )
    for shape in fitting[:: max(1, len(fitting) // 12)][first::2]:
        result = computed(case, shape, x, w, np.full(exact.shape, np.nan, x.dtype))
        assert result.tobytes() == reference.tobytes(), shape


GROUPED = {
    "four of a group": Case((5, 9), (3, 3), padding=1, groups=12, channels=4, filters=4),
    "two of a group, stride 2": Case((7, 8), (3, 2), stride=2, padding=1, groups=17, channels=2, filters=2),
    "eight of a group": Case((4, 7), (2, 3), padding=((2, 0), (0, 2)), groups=7, channels=8, filters=8),
    "as many as lanes": Case((5, 6), (3, 3), padding=1, groups=3, channels=16, filters=16),
    "more filters than channels": Case((6, 5), (3, 3), padding=1, groups=3, channels=3, filters=32, bias=True),
    "one channel, many filters": Case((6, 5), (3, 3), padding=1, groups=3, filters=16),
    "dilated": Case((9, 11), (3, 2), dilation=(2, 3), padding=3, stride=(1, 2), groups=6, channels=4, filters=4),
    "1-d": Case((40,), (5,), padding=2, groups=9, channels=4, filters=4),
    "a batch of doubles": Case((4, 5), (3, 3), padding=1, groups=6, channels=4, filters=4, batch=2, dtype="float64"),
    "doubles, two of a group": Case((4, 5), (3, 3), padding=1, groups=9, channels=2, filters=2, dtype="float64"),
    "integers": Case((4, 5), (3, 3), padding=1, groups=5, channels=8, filters=8, dtype="int32"),
}


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("cpu", ["host", "avx2"])
@pytest.mark.parametrize("name", GROUPED)
def test_every_tile_of_groups_computes_the_same_bits(name: str, cpu: str, first: int) -> None:
    """The right ones, by every number of rows, positions and lanes."""
    case = last(GROUPED[name])
    x, w, _ = case.arrays()
    exact, bound = expected(case, x, w, None)
    target = host() if cpu == "host" else NAMED[cpu]._replace(triple=host().triple)
    fitting = shapes(case, target)
    assert len({shape.positions for shape in fitting}) > 1
    assert {shape.keeps for shape in fitting} == {False}
    results = set()
    some = fitting[:: max(1, len(fitting) // 6)]
    for shape in (fitting[-1], *some[first::2]):
        junk = np.full(exact.shape, np.iinfo(x.dtype).max if x.dtype.kind == "i" else np.nan, x.dtype)
        result = computed(case, shape, x, w, junk, target)
        assert_within(result, exact, bound)
        results.add(result.tobytes())
    assert len(results) == 1


@pytest.mark.parametrize(
    ("channels", "filters"), [(2, 2), (4, 4), (8, 8), (16, 16), (3, 16), (1, 8), (4, 8), (8, 4), (16, 32)]
)
def test_groups_of_all_sizes(channels: int, filters: int) -> None:
    """Whatever tile they get; prime numbers of groups fill no vector evenly."""
    for groups in (2, 13):
        judge(last(Case((5, 6), (3, 3), padding=1, groups=groups, channels=channels, filters=filters, bias=True)))


@pytest.mark.parametrize(("channels", "filters"), [(1, 16), (4, 4), (16, 16)])
def test_groups_are_never_moved_to_whole_vectors(channels: int, filters: int) -> None:
    """A vector that started between groups would mix their pixels, wherever arrays lie."""
    case = last(Case((4, 5), (3, 3), padding=1, groups=16, channels=channels, filters=filters))
    x, w, _ = case.arrays()
    exact, bound = expected(case, x, w, None)
    for at, to in ((0, 0), (4, 16), (32, 4), (60, 8)):
        for shape in shapes(case, host())[::20]:
            junk = placed(np.full(exact.shape, np.nan, x.dtype), to)
            assert_within(computed(case, shape, placed(x, at), w, junk), exact, bound)


def test_taps_of_groups_do_not_meet_in_few_sets() -> None:
    """By hand: whole vectors, and one more where a tap would be a multiple of 4 of them."""
    found = [packed_filters(filters, 16, 8) for filters in (17, 40, 64, 250, 256, 272)]
    assert found == [32, 48, 80, 272, 272, 272]
    assert packed_filters(256, 16, 1) == 256  # of depthwise layers, taps are few


@pytest.mark.parametrize("channels", [48, 64, 50])
def test_bits_do_not_depend_on_where_arrays_lie(channels: int) -> None:
    """Vectors of channels are moved to whole vectors of memory; the first and the last reach over their neighbours."""
    case = last(Case((4, 5), (3, 3), padding=1, groups=channels))
    x, w, _ = case.arrays()
    exact, _ = expected(case, x, w, None)
    results = {
        computed(case, shape, placed(x, at), w, placed(np.full(exact.shape, np.nan, x.dtype), to)).tobytes()
        for at, to in ((0, 0), (4, 16), (16, 4), (32, 32), (60, 0))
        for shape in shapes(case, host())[::9]
    }
    assert len(results) == 1


@pytest.mark.parametrize("stride", [1, 2, (2, 1)])
@pytest.mark.parametrize("k", [(3, 3), (1, 2), (3, 1)])
@pytest.mark.parametrize("rows", [1, 2, 3, 6])
@pytest.mark.parametrize("channels", [19, 37])
@pytest.mark.parametrize("padding", [1, ((2, 0), (0, 2))], ids=str)
def test_small_maps(rows: int, k: tuple[int, int], stride: int | tuple[int, int], channels: int, padding: Any) -> None:
    """Maps of few rows and columns, all of which may meet the padding, and channels that fill no vector."""
    for columns in (1, 2, 7, 15):
        judge(last(Case((rows, columns), k, stride=stride, padding=padding, groups=channels, out_order="within")))


def test_caches_that_hold_no_vector() -> None:
    """There is one vector to a pass, and a row, however small the caches are."""
    for target in (NAMED["avx2"]._replace(triple=host().triple), host()):
        with planning_for(target._replace(caches=(512, 64, 512))):
            judge(last(TILED["borders"]))


@pytest.mark.parametrize("threads", one_in(2, [3, 2]))
def test_threads_share_the_rows_of_few_channels(threads: int) -> None:
    """A single row of a map is cut, too."""
    judge(last(Case((80_000,), (3,), padding=1, groups=17, threads=threads)))
    judge(last(Case((111, 130), (3, 3), padding=1, groups=33, threads=threads)))


@pytest.mark.parametrize("name", ["avx512", "avx2"])
def test_layers_of_mobile_networks_take_them(name: str) -> None:
    """The weights of a vector of channels stay in registers where there are 32."""
    for n, channels, stride in ((56, 144, 1), (14, 576, 2), (7, 960, 1)):
        case = last(Case((n, n), (3, 3), stride=stride, padding=1, groups=channels))
        decision = decide(problem_of(case, "float32"), NAMED[name])
        (run,) = decision.tables(decision.view).runs
        ((kernel, *_),) = run.calls
        assert kernel.name == "window_lanes"
        text = assembly(kernel, NAMED[name])
        assert "vmaskmov" not in text
        assert "{%k" not in text  # whole vectors alone


# Bytes.

BYTES = ("uint8", "int8")


@pytest.mark.parametrize("dtypes", [*itertools.product(BYTES, BYTES)])
def test_bytes(dtypes: tuple[str, str]) -> None:
    """The products of bytes are exact, their ends among them, and no image is copied."""
    for kernel, stride, channels in itertools.product(((3, 3), (5, 4)), (1, 2), (4, 19, 40)):
        case = Case((7, 9), kernel, stride=stride, padding=1, groups=channels, dtype=dtypes[0], w_dtype=dtypes[1])
        case = last(case)
        judge(replace(case, seed=channels))
        problem = problem_of(case, case.dtype)
        assert problem.pads_zeros
        decision = decide(problem_of(case, dtypes[0]), host())
        assert decision.copy is None or channels == 4


def test_the_largest_sums_of_bytes() -> None:
    """256 taps are float32's last exact sum of the largest products; a window of more is summed as integers."""
    for kernel in ((16, 16), (16, 17)):
        x = np.full((1, 20, 21, 16), 255, np.uint8)
        w = np.full((16, 1, *kernel), -128, np.int8)
        result = plan(x.shape, w, x_dtype=x.dtype, groups=16, layout="NHWC", algorithm="implicit")(x)
        assert (result == 255 * -128 * w[0].size).all()


@pytest.mark.parametrize("x_zero_point", [0, 7, 255])
def test_bytes_that_are_requantised(x_zero_point: int) -> None:
    """Zero points are taken off on the way; padding of any other number is not what the kernel skips."""
    rng = np.random.default_rng(x_zero_point)
    for channels, stride in itertools.product((19, 48), (1, 2)):
        x = rng.integers(0, 256, (2, 9, 8, channels), np.uint8)
        w = rng.integers(-128, 128, (channels, 1, 3, 3), np.int8)
        bias = rng.integers(-9999, 9999, channels).astype(np.int32)
        window = Window((9, 8), (3, 3), (stride, stride), ((1, 1), (1, 1)), (1, 1))
        moved = x.astype(np.int64) - x_zero_point
        exact, _ = layer_sums(moved, w.astype(np.int64), None, "NHWC", window, groups=channels)
        factors = np.linspace(0.001, 0.002, channels, dtype=np.float32)
        scaled = (exact.astype(np.int64) + bias).astype(np.float32) * factors
        right = np.clip(np.rint(scaled) + 3, 0, 255)
        result = quantized_conv(
            x, w, bias, x_scale=np.float32(1), w_scale=factors, y_scale=np.float32(1), x_zero_point=x_zero_point,
            y_zero_point=3, stride=stride, padding=1, groups=channels, layout="NHWC", algorithm="implicit",
        )  # fmt: skip
        np.testing.assert_array_equal(result, right)


# Positions along the lanes.


def test_last_tiles_reach_back() -> None:
    """No store needs a mask where a row of the map is as long as a tile, and none does in a row of whole vectors."""
    for n in (9, 30, 56):
        case = Case((n, n), (3, 3), padding=1, groups=8)
        decision = decide(problem_of(case, "float32"), NAMED["avx2"])
        for kernel in decision.tables(decision.view).kernels:
            assert kernel.name == "position_lanes"
            stores = [line for line in assembly(kernel, NAMED["avx2"]).splitlines() if "vmaskmov" in line]
            assert [line for line in stores if line.rstrip().endswith(")")] == []
        judge(case)


def test_every_second_pixel_keeps_halves_apart() -> None:
    """Of two vectors of 32 bytes, one instruction takes every second pixel; sums are put in order once, when stored."""
    case = Case((28, 28), (3, 3), stride=2, padding=1, groups=8)
    decision = decide(problem_of(case, "float32"), NAMED["avx2"])
    (kernel,) = decision.tables(decision.view).kernels
    (tile,) = kernel.parameters
    assert not tile.shuffled
    text = assembly(kernel, NAMED["avx2"])
    assert text.count("vpermpd") == 2 * tile.rows * tile.vectors  # in the tiles with masks, and in those without
