"""What a convolution costs: operations, bytes, and how much larger the column matrix is than the image."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ..algorithms import offers, registry
from ..engine.threads import resolve_threads
from ..errors import ArgumentError, format_bytes, named, shown
from ..importing import importing
from ..spec.arguments import check_choice, checked_shape, is_a
from ..spec.arrays import as_dtype
from ..spec.problem import WINDOW_OPTIONS, WORKSPACE_LIMIT, make_problem, refuse_unknown
from ..spec.transposed import make_transposed
from .input_gradient import transposed_of
from .phases import Transpose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import DTypeLike

    from ..spec.geometry import Window
    from ..spec.padding import Padding
    from ..spec.transposed import Transposed
    from ..summary import Summary, Table
    from .phases import Folding

_TRANSPOSE_OPTIONS = ("output_padding", "output_size")
OPERATIONS = ("conv", "conv_transpose", "conv_input_gradient", "conv_weight_gradient")


@dataclass(frozen=True)
class Cost:
    """What one layer costs.

    Parameters
    ----------
    name : str
        What the table calls the layer.
    output_shape : tuple of int
        Shape of the result, in the image's layout.
    matrix_shape : tuple of int
        The whole column matrix: (positions, taps), with the batch before it where the image has one.
    flops : int
        Two for each product of a pixel and a weight, padded taps included.
    bytes_moved : int
        Image and weight read once, result written once: what no algorithm can avoid.
    matrix_bytes : int
        Size of the whole column matrix.
    duplication : float
        Entries of the column matrix for each pixel of the image.
    workspace_bytes : mapping of str to int
        For each algorithm that can solve the problem: bytes beyond image and result.
    """

    name: str
    output_shape: tuple[int, ...]
    matrix_shape: tuple[int, ...]
    flops: int
    bytes_moved: int
    matrix_bytes: int
    duplication: float
    workspace_bytes: Mapping[str, int]

    @property
    def arithmetic_intensity(self) -> float:
        """Operations for each byte that must move; 0 for an empty layer."""
        return self.flops / self.bytes_moved if self.bytes_moved else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return every figure by name, for programs: plain numbers, lists and dictionaries."""
        plain = asdict(self) | {"arithmetic_intensity": self.arithmetic_intensity}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}

    def __str__(self) -> str:
        return self._summary().text()

    def _repr_html_(self) -> str:
        """Return what `print` tells as HTML, which notebooks show."""
        return self._summary().html()

    def _summary(self) -> Summary:
        with importing:
            from ..summary import Summary

        workspace = ", ".join(f"{name} {format_bytes(size)}" for name, size in self.workspace_bytes.items())
        moved, matrix = format_bytes(self.bytes_moved), format_bytes(self.matrix_bytes)
        facts = (
            ("work", f"{self.flops / 1e9:.4g} GFLOP, {self.arithmetic_intensity:.4g} FLOP a byte"),
            ("memory", f"{moved} moved at least, matrix {matrix}"),
            ("duplication", f"{self.duplication:.4g} matrix entries a pixel"),
            ("workspace", workspace),
        )
        return Summary(f"{self.name}: output {self.output_shape}, column matrix {self.matrix_shape}", facts)


class CostTable(Sequence[Cost]):
    """The costs of several layers, and their sums.

    Parameters
    ----------
    layers : sequence of Cost
    """

    def __init__(self, layers: Sequence[Cost]) -> None:
        self._layers = tuple(layers)

    @overload
    def __getitem__(self, index: int) -> Cost: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Cost]: ...
    def __getitem__(self, index: int | slice) -> Cost | Sequence[Cost]:
        return self._layers[index]

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Cost]:
        return iter(self._layers)

    @property
    def flops(self) -> int:
        """Operations of all layers."""
        return sum(layer.flops for layer in self._layers)

    @property
    def bytes_moved(self) -> int:
        """Bytes that all layers must move."""
        return sum(layer.bytes_moved for layer in self._layers)

    @property
    def matrix_bytes(self) -> int:
        """Bytes of the greatest column matrix: layers run one after another."""
        return max((layer.matrix_bytes for layer in self._layers), default=0)

    def __str__(self) -> str:
        return "\n".join(self._table().columns())

    def _repr_html_(self) -> str:
        """Return what `print` tells as HTML, which notebooks show."""
        with importing:
            from ..summary import Summary

        return Summary("", tables=(self._table(),)).html()

    def _table(self) -> Table:
        with importing:
            from ..summary import Table

        rows = tuple(
            (
                c.name,
                f"{c.flops / 1e9:.4g}",
                format_bytes(c.bytes_moved),
                f"{c.arithmetic_intensity:.4g}",
                format_bytes(c.matrix_bytes),
                f"{c.duplication:.4g}",
            )
            for c in self._layers
        )
        sums = f"{self.flops / 1e9:.4g}", format_bytes(self.bytes_moved), "", f"≤ {format_bytes(self.matrix_bytes)}", ""
        header = ("layer", "GFLOP", "moved", "FLOP/byte", "matrix", "duplication")
        return Table(header, rows, total=("total", *sums), right=tuple(range(1, len(header))))


@overload
def cost(x_shape: Iterable[Mapping[str, Any]], **options: Any) -> CostTable: ...
@overload
def cost(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    *,
    stride: Window = ...,
    padding: Padding = ...,
    dilation: Window = ...,
    groups: int = ...,
    layout: str | None = ...,
    dtype: DTypeLike = ...,
    workspace_limit: int = ...,
    threads: int | None = ...,
    name: str = ...,
    operation: str = ...,
) -> Cost: ...
@named
def cost(x_shape: Any, w_shape: Any = None, **options: Any) -> Cost | CostTable:
    """Return what a convolution costs, without running it.

    Parameters
    ----------
    x_shape : tuple of int, or sequence of mappings
        Shape of the image, in `layout`. Or several layers: one mapping of this function's arguments for each, which may
        leave out what `options` say for all.
    w_shape : tuple of int
        Shape of the filters, (n, C/groups, *kernel).
    stride, padding, dilation, groups, layout, workspace_limit, threads
        As for `conv`.
    dtype : dtype, default float32
        Of image and filters.
    name : str, default "layer"
        What the table calls the layer.
    operation : str, default "conv"
        ``"conv"``, ``"conv_input_gradient"`` or ``"conv_weight_gradient"`` of that convolution, or
        ``"conv_transpose"``, of which `x_shape` and `w_shape` are the arguments' shapes, and which also takes
        `output_padding` and `output_size`.

    Returns
    -------
    Cost or CostTable
        FLOPs, bytes moved, arithmetic intensity, duplication factor, and each algorithm's workspace; ``print`` shows
        them. For several layers a sequence of them, with sums.

    Raises
    ------
    ArgumentError, GeometryError, LayoutError, ShapeError, DTypeError
        As for `conv`.

    Notes
    -----
    Operations are nominal, as benchmarks count them: 2 · batch · filters · positions · (C/groups) · prod(kernel). The
    arithmetic intensity is that of the roofline model (S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful
    visual performance model for multicore architectures", CACM 52(4), 2009): operations for each byte that must move.

    Examples
    --------
    >>> from im2col import cost
    >>> c = cost((1, 64, 56, 56), (64, 64, 3, 3), padding=1)
    >>> c.flops, c.matrix_shape, round(c.duplication, 3)
    (231211008, (1, 3136, 576), 9.0)
    """
    known = {"dtype", "workspace_limit", "threads", "name", "operation", *WINDOW_OPTIONS, *_TRANSPOSE_OPTIONS}
    refuse_unknown("cost", options, known)
    if w_shape is not None:
        return _cost(x_shape, w_shape, **options)
    table = []
    for i, layer in enumerate(_layers(x_shape)):
        if not {"x_shape", "w_shape"} <= layer.keys():
            raise ArgumentError(f"layer {i} must name its x_shape and w_shape, got {shown(layer)}")
        for name in layer.keys() - {"x_shape", "w_shape", *known}:
            raise ArgumentError(f"layer {i} has {shown(name)}, which is no argument of cost; leave it out")
        table.append(_cost(**{"name": f"layer {i}", **options, **layer}))
    return CostTable(table)


def _layers(given: object) -> Iterator[dict[Any, Any]]:
    """Yield the mappings of a list of layers, or say that it is none."""
    right, failure = not is_a(given, Mapping), None
    if right:
        try:
            for layer in given:  # type: ignore[attr-defined]  # that is tried
                right = is_a(layer, Mapping)
                if not right:
                    break
                yield dict(layer)
        except Exception as cause:  # no iterable, or one that fails
            right, failure = False, cause
    if not right:
        raise ArgumentError(
            f"pass x_shape and w_shape, or a list with one mapping of arguments for each layer; got {shown(given)} "
            "without w_shape"
        ) from failure


def _cost(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    *,
    dtype: DTypeLike = np.float32,
    workspace_limit: int = WORKSPACE_LIMIT,
    threads: int | None = None,
    name: str = "layer",
    operation: str = "conv",
    **window: Any,
) -> Cost:
    operation = check_choice("operation", operation, OPERATIONS)
    if operation != "conv_transpose":
        for extra in window.keys() - set(WINDOW_OPTIONS):
            raise ArgumentError(
                f"{extra} belongs to operation='conv_transpose', got operation={operation!r}; leave it out"
            )
    x_shape, w_shape = checked_shape("the shape of x", x_shape), checked_shape("the shape of w", w_shape)
    element, workers = as_dtype("dtype", dtype), resolve_threads(threads)
    given = (x_shape, w_shape, element, element)
    if operation == "conv_transpose":
        t = make_transposed(*given, workspace_limit=workspace_limit, **window)
        batch, channels, pixels, result = t.batch, t.channels, math.prod(t.image), t.output_shape
        positions, taps, layout, flops = math.prod(t.spatial_shape), math.prod(t.kernel_size), t.layout, t.flops
        workspace = _transposed_workspace(t, None, workers)
        numbers = (t.x_shape, result, w_shape)
    else:
        p = make_problem(*given, workspace_limit=workspace_limit, **window)
        batch, channels, pixels = p.batch, p.channels, math.prod(p.geometry.spatial_shape)
        positions, taps, layout, flops = p.geometry.positions, p.geometry.taps, p.layout, p.flops
        numbers = (p.x_shape, p.output_shape, w_shape)
        result = {"conv_input_gradient": p.x_shape, "conv_weight_gradient": w_shape}.get(operation, p.output_shape)
        if operation == "conv_input_gradient":
            workspace = _transposed_workspace(*transposed_of(p), workers)
        else:
            found = offers(p, workers, gradient=operation != "conv")
            workspace = {name: each.workspace_bytes for name, each in found.items() if each.rank}
    matrix = (positions, channels * taps)
    entries = batch * math.prod(matrix)
    return Cost(
        name=name if is_a(name, str) else shown(name),
        output_shape=result,
        matrix_shape=(batch, *matrix) if layout.has_batch else matrix,
        flops=flops,
        bytes_moved=sum(map(math.prod, numbers)) * element.itemsize,
        matrix_bytes=entries * element.itemsize,
        duplication=entries / (batch * channels * pixels) if batch * channels * pixels else 0.0,
        workspace_bytes=workspace,
    )


def _transposed_workspace(transposed: Transposed, folding: Folding | None, threads: int) -> dict[str, int]:
    """Return the workspace of each algorithm that can solve every stage."""
    spec = transposed, folding, False, False
    found = {}
    for name in registry():
        with suppress(ArgumentError):
            found[name] = Transpose.decided(*spec, name, threads).workspace_bytes
    return found
