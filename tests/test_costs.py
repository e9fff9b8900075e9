"""Costs against counted loops, tables of several layers, and what each wrong argument is told."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from im2col import (
    ArgumentError,
    Cost,
    CostTable,
    DTypeError,
    GeometryError,
    LayoutError,
    ShapeError,
    conv,
    cost,
    im2col,
    plan,
    set_threads,
)
from im2col.errors import format_bytes

from .kit.oracles import Window, entries
from .kit.outcomes import raises_exactly
from .kit.strategies import spelled, spelled_padding, windows


@st.composite
def layers(draw: st.DrawFn) -> tuple[dict[str, Any], Window, str]:
    """Draw the arguments of a layer, its window, and its axes."""
    window = draw(windows(draw(st.sampled_from([1, 2]))))
    layout = draw(st.sampled_from(["NC", "C"])) + "ABD"[: len(window.kernel_size)]
    groups, per_group, maps = (draw(st.integers(1, 2)) for _ in range(3))
    lead = {"N": draw(st.integers(0, 2)), "C": groups * per_group}
    arguments = {
        "x_shape": (*(lead[axis] for axis in layout if axis in lead), *window.spatial_shape),
        "w_shape": (groups * maps, per_group, *window.kernel_size),
        "groups": groups,
        "stride": draw(spelled(window.stride)),
        "dilation": draw(spelled(window.dilation)),
        "padding": draw(spelled_padding(window.padding)),
        "dtype": draw(st.sampled_from(["int16", np.float32, "f8"])),
    }
    return arguments, window, layout


@given(case=layers())
def test_costs_are_counted(case: tuple[dict[str, Any], Window, str]) -> None:
    """Products, matrix entries and bytes are those that plain loops count and real arrays take."""
    arguments, window, layout = case
    x, w = (np.zeros(arguments[name], arguments["dtype"]) for name in ("x_shape", "w_shape"))
    images, weights = range(len(x) if "N" in layout else 1), map(range, w.shape)
    products = sum(1 for _ in itertools.product(images, *window.stops, *weights))
    copies = sum(1 for _ in entries(x.shape, layout, window))
    result = cost(**arguments)
    options = {name: arguments[name] for name in ("stride", "dilation", "padding", "groups")}
    y = conv(x, w, dtype=arguments["dtype"], **options)
    assert result.flops == 2 * products
    assert result.output_shape == y.shape
    assert result.bytes_moved == x.nbytes + w.nbytes + y.nbytes
    assert result.matrix_bytes == copies * x.itemsize
    assert result.duplication == (copies / x.size if x.size else 0)
    assert result.arithmetic_intensity == result.flops / result.bytes_moved
    options.pop("groups")
    assert result.matrix_shape == im2col(x, window.kernel_size, **options).shape


def test_duplication_counts_each_pixel() -> None:
    """The factor is how often a pixel is copied on average: 9 inside a 3×3 window's image, fewer where it strides."""
    x = np.arange(36).reshape(1, 6, 6)
    wide: tuple[dict[str, Any], ...] = ({}, {"stride": 2}, {"stride": 3}, {"dilation": 2})
    for options in wide:
        matrix = im2col(x, 3, **options)
        assert cost(x.shape, (1, 1, 3, 3), **options).duplication == matrix.size / x.size
    _, copies = np.unique(im2col(x, 3, stride=3), return_counts=True)
    assert set(copies) == {1}
    assert cost(x.shape, (1, 1, 3, 3), stride=3).duplication == 1


def test_layouts_only_move_axes() -> None:
    """A layer costs the same in any layout; the shapes are those of the layout."""
    first = cost((2, 4, 7, 6), (6, 2, 3, 3), groups=2, padding=1)
    last = cost((2, 7, 6, 4), (6, 2, 3, 3), groups=2, padding=1, layout="NHWC")
    assert last.output_shape == (2, 7, 6, 6)
    assert (last.flops, last.bytes_moved, last.duplication) == (first.flops, first.bytes_moved, first.duplication)
    assert cost((6, 5), (1, 1, 3, 3)).matrix_shape == (12, 9)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("limit", [1000, 1 << 20])
def test_workspaces_are_the_plans(threads: int, limit: int) -> None:
    """Each algorithm's workspace is what a plan for it says; an algorithm that cannot has none."""
    options: dict[str, Any] = {"padding": 1, "workspace_limit": limit, "threads": threads}
    workspaces = cost((3, 4, 32, 32), (8, 4, 3, 3), **options).workspace_bytes
    assert {"explicit", "reference"} <= set(workspaces)
    for name, size in workspaces.items():
        w = np.zeros((8, 4, 3, 3), np.float32)
        assert plan((3, 4, 32, 32), w, algorithm=name, **options).workspace_bytes == size
    assert "explicit" not in cost((3, 4, 32, 32), (8, 4, 3, 3), workspace_limit=100).workspace_bytes


def test_workspaces_follow_set_threads() -> None:
    """Without `threads`, the process's setting counts."""
    shapes = ((8, 4, 32, 32), (8, 4, 3, 3))
    set_threads(3)
    try:
        assert cost(*shapes).workspace_bytes == cost(*shapes, threads=3).workspace_bytes
        assert cost(*shapes).workspace_bytes != cost(*shapes, threads=1).workspace_bytes
    finally:
        set_threads(None)


@pytest.mark.parametrize(
    ("x_shape", "w_shape"), [((0, 2, 5, 5), (3, 2, 3, 3)), ((2, 0, 5, 5), (3, 0, 3, 3)), ((2, 2, 5, 5), (0, 2, 3, 3))]
)
def test_empty_layers_cost_nothing(x_shape: tuple[int, ...], w_shape: tuple[int, ...]) -> None:
    """No images, no channels or no filters: no operations, and no division by zero."""
    empty = cost(x_shape, w_shape)
    assert (empty.flops, empty.arithmetic_intensity) == (0, 0.0)
    assert empty.duplication == (9 * 9 / 25 if np.prod(x_shape) else 0)
    assert cost((0, 0, 5, 5), (0, 0, 3, 3)).arithmetic_intensity == 0


def test_costs_do_not_overflow() -> None:
    """Figures are exact for layers that no machine can run."""
    side = 1 << 32
    huge = cost((1, 1, side, side), (1, 1, 1, 1), threads=1)
    assert huge.flops == 2 * side**2
    assert huge.workspace_bytes["reference"] == 40 * (side**2 + 1) + 4 * side**2


# Several layers.

LAYERS: list[dict[str, Any]] = [
    {"x_shape": (1, 64, 56, 56), "w_shape": (64, 64, 3, 3), "padding": 1, "name": "conv2_x"},
    {"x_shape": (1, 3, 224, 224), "w_shape": (64, 3, 7, 7), "padding": 3, "stride": 2},
]


def test_a_list_of_layers_is_a_table() -> None:
    """Each mapping is one call; the sums are over all, the matrix is the greatest."""
    table = cost(LAYERS)
    assert isinstance(table, CostTable)
    assert len(table) == 2
    assert list(table) == [cost(**LAYERS[0]), cost(**LAYERS[1], name="layer 1")]
    assert table[1].name == "layer 1"
    assert [layer.name for layer in table[:1]] == ["conv2_x"]
    assert table.flops == sum(layer.flops for layer in table)
    assert table.bytes_moved == sum(layer.bytes_moved for layer in table)
    assert table.matrix_bytes == max(layer.matrix_bytes for layer in table)
    assert list(cost(tuple(LAYERS))) == list(table)


def test_an_empty_list_is_an_empty_table() -> None:
    """No layers cost nothing."""
    table = cost([])
    assert (len(table), table.flops, table.bytes_moved, table.matrix_bytes) == (0, 0, 0, 0)
    assert str(table).splitlines() == [
        "layer  GFLOP  moved  FLOP/byte  matrix  duplication",
        "total      0    0 B              ≤ 0 B             ",
    ]


def test_generators_are_layers_too() -> None:
    """Layers that can be read only once are not lost."""
    assert list(cost(layer for layer in LAYERS)) == list(cost(LAYERS))


# What it says.


def test_a_cost_prints_itself() -> None:
    """Five lines, in units for people."""
    layer = cost(**LAYERS[0], threads=1)
    assert str(layer).splitlines() == [
        "conv2_x: output (1, 64, 56, 56), column matrix (1, 3136, 576)",
        "  work        0.2312 GFLOP, 131.9 FLOP a byte",
        "  memory      1.7 MiB moved at least, matrix 6.9 MiB",
        "  duplication 9 matrix entries a pixel",
        "  workspace   " + ", ".join(f"{name} {format_bytes(size)}" for name, size in layer.workspace_bytes.items()),
    ]


def test_a_table_prints_itself() -> None:
    """One row a layer, and the sums."""
    assert str(cost(LAYERS)).splitlines() == [
        "layer     GFLOP    moved  FLOP/byte     matrix  duplication",
        "conv2_x  0.2312  1.7 MiB      131.9    6.9 MiB            9",
        "layer 1   0.236  3.7 MiB      61.29    7.0 MiB        12.25",
        "total    0.4672  5.3 MiB             ≤ 7.0 MiB             ",
    ]


def test_costs_are_json() -> None:
    """Every figure by name, as plain numbers, lists and dictionaries."""
    layer = cost(**LAYERS[0], threads=1)
    plain = layer.as_dict()
    assert json.loads(json.dumps(plain)) == plain
    workspaces = plain.pop("workspace_bytes")
    assert workspaces == dict(layer.workspace_bytes)
    assert plain == {
        "name": "conv2_x",
        "output_shape": [1, 64, 56, 56],
        "matrix_shape": [1, 3136, 576],
        "flops": 231211008,
        "bytes_moved": 4 * (64 * 56 * 56 + 64 * 64 * 9 + 64 * 56 * 56),
        "matrix_bytes": 4 * 3136 * 576,
        "duplication": 9.0,
        "arithmetic_intensity": layer.arithmetic_intensity,
    }


# Errors.

SHAPES: dict[str, Any] = {"x_shape": (1, 2, 5, 5), "w_shape": (3, 2, 3, 3)}


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (
            {"w_shape": None},
            ArgumentError,
            "cost: pass x_shape and w_shape, or a list with one mapping of arguments for each layer; got (1, 2, 5, 5) "
            "without w_shape",
        ),
        (
            {"x_shape": SHAPES, "w_shape": None},
            ArgumentError,
            "cost: pass x_shape and w_shape, or a list with one mapping of arguments for each layer; got "
            f"{SHAPES!r} without w_shape",
        ),
        (
            {"x_shape": [SHAPES, None], "w_shape": None},
            ArgumentError,
            "cost: pass x_shape and w_shape, or a list with one mapping of arguments for each layer; got "
            f"{[SHAPES, None]!r} without w_shape",
        ),
        (
            {"x_shape": 5, "w_shape": None},
            ArgumentError,
            "cost: pass x_shape and w_shape, or a list with one mapping of arguments for each layer; got 5 without "
            "w_shape",
        ),
        ({"x_shape": 5}, ArgumentError, "cost: the shape of x must be a tuple of integers, got 5"),
        ({"w_shape": 5}, ArgumentError, "cost: the shape of w must be a tuple of integers, got 5"),
        (
            {"w_shape": (3, 3)},
            ShapeError,
            "cost: w must be (filters, channels/groups, *kernel), got shape (3, 3); a plain kernel goes with conv1d, "
            "conv2d or conv3d, or as w[None, None]",
        ),
        (
            {"w_shape": (3, 2, 3)},
            LayoutError,
            "cost: an image with 1 spatial axis has 1 (plain), 2 (with channels) or 3 (with a batch) axes, got an "
            "array of 4; pass an image of that many axes, or name its axes with layout=",
        ),
        ({"stride": 0}, GeometryError, "cost: stride must be at least 1, got 0"),
        ({"workspace_limit": 0}, GeometryError, "cost: workspace_limit must be at least 1, got 0"),
        ({"threads": 0}, ArgumentError, "cost: threads must be a positive integer or None, got 0"),
        ({"dtype": "f5"}, DTypeError, "cost: dtype='f5' is not a dtype; pass one such as np.float32"),
        ({"dtype": object}, DTypeError, "cost: dtype=object is not a number; pass one such as np.float32"),
        ({"dtype": "U3"}, DTypeError, "cost: dtype=<U3 is not a number; pass one such as np.float32"),
    ],
)
def test_errors(wrong: dict[str, Any], error: type[Exception], message: str) -> None:
    """Each wrong argument has its whole message, in the name of cost."""
    with raises_exactly(error, message):
        cost(**SHAPES | wrong)


def test_options_beside_a_list_are_not_dropped() -> None:
    """An option that stands beside a list of layers is used for all of them, or refused; never ignored."""
    try:
        table: Any = cost([SHAPES], dtype=np.float64)
    except (ArgumentError, TypeError):
        return
    assert table[0] == cost(**SHAPES, dtype=np.float64, name="layer 0")


@pytest.mark.parametrize("name", ["strides", "has_bias"])
def test_unknown_keywords_name_cost(name: str) -> None:
    """A keyword that cost does not have is refused in its name."""
    with pytest.raises(TypeError, match=rf"\Acost\(\) got an unexpected keyword argument '{name}'\Z"):
        cost(**SHAPES | {name: 1})


def test_costs_are_values() -> None:
    """Equal by their figures."""
    assert cost(**SHAPES) == cost(**SHAPES)
    assert cost(**SHAPES) != cost(**SHAPES, padding=1)
    assert isinstance(cost(**SHAPES), Cost)
