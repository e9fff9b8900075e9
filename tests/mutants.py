"""Generated bugs: every integer of an index formula one off, every comparison and every sum turned, one at a time."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from .planting import PACKAGE

_DIGESTS = (
    *(f"test_golden.py::test_tables_of_every_layer[{name}]" for name in ("avx2", "avx512", "sse2")),
    *(f"test_golden.py::test_small_layers[{name}]" for name in ("avx2-float32", "zen4-int8", "neon-bfloat16")),
    "test_implicit.py::test_layers",
    "test_implicit.py::test_padding_modes",
    "test_implicit.py::test_numbers_of_filters",
    "test_implicit.py::test_every_size_of_a_plane",
    "test_implicit.py::test_windows_of_many_rows",
    "test_implicit.py::test_results_that_tiles_do_not_walk",
    "test_implicit.py::test_caches_that_hold_next_to_nothing",
)
_ORDERS = (
    "test_chunks.py::test_chunks_have_the_bits_of_the_whole",
    "test_chunks.py::test_every_chunk_has_a_tile_in_the_order_of_all[0-float32-avx2]",
    "test_chunks.py::test_every_chunk_has_a_tile_in_the_order_of_all[1-float32-avx2]",
    "test_chunks.py::test_tiles_that_go_by_lines_and_columns_have_no_order",
    "test_chunks.py::test_orders_are_those_of_the_loops",
)
_POSITIONS = (
    *_DIGESTS,
    *_ORDERS,
    "test_implicit.py::test_rows_of_several_pieces",
    "test_transpose.py::test_rows_of_whole_tiles",
)
FILES: dict[str, tuple[str, ...]] = {
    "spec/geometry.py": ("test_geometry.py", "test_transform.py"),
    "matrix/overlap.py": ("test_fold.py", "test_budget.py::test_the_counts"),
    "matrix/regions.py": ("test_fold.py",),
    "algorithms/implicit/borders.py": ("test_borders.py", "test_mapped_borders.py", *_DIGESTS),
    "algorithms/implicit/tiles/mapped.py": (
        *(
            f"test_mapped_borders.py::{name}"
            for name in (
                "test_what_tiles_at_the_ends_see",
                "test_kernels_serve_rows_of_any_length",
                "test_pieces_cover_rows_and_meet_no_border",
                "test_moved_rows",
                "test_layers",
                "test_zeros_beside_a_border_of_pixels",
            )
        ),
        "test_implicit.py::test_padding_modes",
    ),
    "algorithms/implicit/view.py": ("test_view.py", *_DIGESTS, *_ORDERS),
    "algorithms/implicit/tiles/positions.py": _POSITIONS,
    "algorithms/implicit/tiles/position_rows.py": _POSITIONS,
    "algorithms/implicit/tiles/filters.py": (
        "test_parts.py::test_there_are_parts",
        "test_parts.py::test_layers_with_parts",
        "test_parts.py::test_results_that_hold_no_sums",
        *_DIGESTS,
        *_ORDERS,
    ),
    "algorithms/implicit/tiles/windows.py": ("test_windows.py", *_DIGESTS, *_ORDERS),
    "algorithms/implicit/tiles/channel_lanes.py": (
        *_DIGESTS,
        *_ORDERS,
        "test_implicit.py::test_channels_of_several_vectors",
        "test_implicit.py::test_channels_along_the_lanes_row_by_row",
        "test_compile_time.py::test_ragged_borders_of_depthwise_layers",
    ),
}
"""The files whose formulas are turned, and the tests that must notice, the fastest first."""

TUNING = {
    *(
        "cycles",
        "_store_cycles",
        "candidates",
        "_of",
        "_fits",
        "_instructions",
        "_few_enough",
        "_lines_read",
        "table_bytes",
    )
}
"""Functions that weigh what is right whatever they say; how fast it is, no test judges, and how much memory it takes is
judged from above and below (`test_layer_memory.py`)."""

_MASKED = "a tile that needs no mask may have one: it says that everything is there"
_PIECES = "how long the pieces of a row are is tuning: each is computed alike"
_INSIDE = (
    "a tile inside may be taken for one at the border: it is found to see everything, and gathered with the others"
)
EQUIVALENT: dict[str, str] = {
    "matrix/regions.py _walks: if first <= stop:": "a tap that is nowhere on the image copies nothing, in no loop",
    "matrix/regions.py _indices: if math.prod(map(min, matrix[:k], matrix[k:])) >= _FEW:": (
        "what is remembered is what would be made"
    ),
    "matrix/regions.py _made: if taps < positions:": "where both are as many, either way makes as many regions",
    **{
        f"algorithms/implicit/borders.py _inside: {line}": _INSIDE
        for line in (
            "low = max(1, -(-(first - column) // size))",
            "return (low, high) if low <= high else (0, 0)",
        )
    },
    "algorithms/implicit/borders.py _inside: (first, last), *_, (_, stop) = g.positions_inside(g.ndim - 1) * 3": (
        "twice, so that a single tap is the first and the last; thrice does as well"
    ),
    **{
        f"algorithms/implicit/borders.py inside: {line}": "what is not said to be inside is looked at one by one"
        for line in (
            "first, stop = -(-before // s), (n + before - span) // s - 1",
            "first, stop = -(-before // s), (n + before - span) // s + 0",
            "return (first, stop) if first <= stop else (0, 0)",
        )
    },
    **{
        f"algorithms/implicit/borders.py _at_the_border: {line}": "no bit beyond the tile's positions is looked at"
        for line in ("full = (0 << size) - 1", "full = (2 << size) - 1")
    },
    "algorithms/implicit/borders.py _mapped_classes: "
    "each = np.r_[[first] * (first <= stop), border].astype(np.int64)": (
        "where nothing lies inside, what stands for it is at the border, too"
    ),
    **{
        f"algorithms/implicit/borders.py _mapped_classes: {line}": "any number between offsets and that of zeros"
        for line in (
            "combined = [np.where(each <= _ZEROS // 2, _ZEROS, each) for each in sums]",
            "combined = [np.where(each < _ZEROS // 3, _ZEROS, each) for each in sums]",
        )
    },
    "algorithms/implicit/tiles/mapped.py borders: elif column and first >= 1:": (
        "a tile that reads from pixel 0 on may be taken for one that sees both ends"
    ),
    "algorithms/implicit/tiles/positions.py _reach: "
    "return Reach(tile, tile * g.stride[-1] - _halo(g, shape, size), load)": (
        "a border shorter than a vector lies within the last tile: no other one reaches it, and none is refused"
    ),
    "algorithms/implicit/view.py pitched: if axes[-1] == 0 and sizes[0] * size > LINE:": "a single line is odd already",
    "algorithms/implicit/borders.py _classes: base = g.kernel_size[axis] + 2": "any base that no range reaches does",
    "algorithms/implicit/view.py spread: "
    "return step // self.out_size if step > (-1) and step % self.out_size == 0 else 0": (
        "a step of 0 gives 0 either way"
    ),
    **{
        f"algorithms/implicit/tiles/positions.py _most_tiles: {line}": _PIECES
        for line in (
            *(
                f"if len(blocks) {turned}:  # a piece of a row stays in the first level while filters pass over it"
                for turned in ("+ blocks[0].blocks > 1", "+ blocks[0].blocks > 3")
            ),
            "if len(blocks) - blocks[0].blocks > 2:  # a piece of a row stays in the first level while filters pass "
            "over it",
            *(
                f"return max({least}, min(_MOST_TILES, tiling.caches[0] // {share} // reused if reused else "
                "_MOST_TILES))"
                for least, share in ((2, 2), (1, 1), (1, 3))
            ),
        )
    },
    "algorithms/implicit/tiles/positions.py _most_tiles: "
    "return max(0, min(_MOST_TILES, tiling.caches[0] // 2 // reused if reused else _MOST_TILES))": (
        "a layer whose pieces exceed the first level is given other tiles: none of the tests asks for a piece of none"
    ),
    **{
        f"algorithms/implicit/tiles/position_rows.py pieces_of: {line}": _MASKED
        for line in (
            "low = max(1, -(-least // (tile * s))) if least <= ends * s else tiles",
            "low = max(0, -(-least // (tile * s))) if least < ends * s else tiles",
            "if high - low <= tiles or view.spread > 1:",
            "if high - low < tiles or view.spread > 0:",
        )
    },
    "algorithms/implicit/tiles/positions.py _masked: return self.shuffled or not whole or view.spread > 2": _MASKED,
    "algorithms/implicit/tiles/positions.py _masked: whole = g.stride[-1] == 1 and not any(g.padding[-1]) and "
    "g.output_shape[-1] > self.lanes * self.vectors": _MASKED,
    **{
        f"algorithms/implicit/tiles/windows.py runs: {line}": "how many vectors and rows pass together is tuning"
        for line in (
            "vectors = 1 if self.keeps else max(2, tiling.caches[0] // 2 // weights)",
            "vectors = 1 if self.keeps else max(1, tiling.caches[0] // 1 // weights)",
            "vectors = 1 if self.keeps else max(1, tiling.caches[0] // 3 // weights)",
            "block=max(2, tiling.caches[1] // 4 // row_bytes),",
            "block=max(1, tiling.caches[1] // 3 // row_bytes),",
            "block=max(1, tiling.caches[1] // 5 // row_bytes),",
        )
    },
    "algorithms/implicit/tiles/windows.py _shared: if view.size < 3 or not target.has_fma:": "no number has 3 bytes",
    "algorithms/implicit/tiles/windows.py _shared: "
    "picks = not target.is_arm and 31 <= lanes * view.size <= target.vector_bytes": "no vector has 31 bytes",
    **{
        "algorithms/implicit/tiles/windows.py _guarded: "
        f"return tuple(i for i in lines if {above} or last + i >= g.spatial_shape[0])": (
            "a line that lies inside may be guarded: it is found there"
        )
        for above in ("first + i < 1", "first - i < 0")
    },
    "algorithms/implicit/tiles/windows.py _part: pixels = (run.positions - 0) * g.stride[1] + g.span[1]": (
        "the bound behind the last pixel that a tile reads may be larger"
    ),
    "algorithms/implicit/tiles/windows.py _part: first, stop = max((-1), -start), "
    "min(pixels, g.spatial_shape[1] - start)": "a tile reads no pixel before its first",
    "algorithms/implicit/tiles/mapped.py mapped_pieces: "
    "first = start if covered > tile else min(start, _last_inside(g, reach))": (
        "a tile that ends where the border's begins reads no pixel behind the row's last one"
    ),
    **{
        f"algorithms/implicit/tiles/mapped.py mapped_pieces: pieces.append((first, tiles, 0, tiles, 0, {most}))": (
            "a single tile that reaches back by a column more still covers all"
        )
        for most in ("max((-1), covered - tile)", "max(1, covered - tile)")
    },
    "algorithms/implicit/tiles/mapped.py borders: last = max((-1), columns - reach.tile)": "less than none is none",
    "algorithms/implicit/tiles/mapped.py borders: if column == 0 and count - before < n:": (
        "a row just as long may have a kernel of its own"
    ),
    **{
        f"algorithms/implicit/tiles/mapped.py maps_columns: return ends and ({few} or (last {more} between and last * "
        f"g.stride[-1] {most} g.padding[-1][0]))": "what is not mapped is copied"
        for few, more, most in (
            ("between <= (-1)", ">=", ">="),
            ("between <= 0", ">", ">="),
            ("between <= 0", ">=", ">"),
        )
    },
    **{
        f"algorithms/implicit/tiles/filters.py _run: block=max({least}, tiling.caches[1] // 4 // "
        f"max({row}, row_bytes)),": "how many rows pass together is tuning, and no row is without bytes"
        for least, row in ((2, 1), (1, 0), (1, 2))
    },
    "algorithms/implicit/tiles/channel_lanes.py _run: block=max(2, tiling.caches[1] // 4 // row_bytes),": "tuning",
    "algorithms/implicit/tiles/channel_lanes.py _sums: widths = [tile.lanes] * (tile.vectors - 0) + [tile.last]": (
        "lanes too many are loaded and dropped, which forbidden pages notice, in another process"
    ),
    "algorithms/implicit/tiles/channel_lanes.py _pixels_inside: "
    "pixels = (run.positions - 0) * g.stride[-1] + g.span[-1]": (
        "the bound behind the last pixel that a tile reads may be larger"
    ),
    "algorithms/implicit/tiles/channel_lanes.py _run: (run.positions - 0) * g.stride[-1] + g.span[-1],": (
        "nobody reads what is shown behind the last pixel of a tile"
    ),
    "algorithms/implicit/tiles/channel_lanes.py _pixels_inside: return max((-1), -start), "
    "min(pixels, g.spatial_shape[-1] - start)": "a tile reads no pixel before its first",
}
"""Mutants that change nothing that a test could see, as `Mutant.name` calls them, and why."""

_TURNED = {ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">")}
_COUNTING = {"max", "min", "range", "arange", "clip"}
"""Functions whose integer arguments belong to a formula."""


@dataclass(frozen=True)
class Mutant:
    """A file of ``src/im2col`` with one generated bug.

    Parameters
    ----------
    file : str
        In ``src/im2col``.
    name : str
        The file, the function, and the line as it became: the same as long as the line is.
    text : str
        The whole file, with the bug.
    """

    file: str
    name: str
    text: str


def mutants(file: str) -> list[Mutant]:
    """Return every mutant of a file of ``src/im2col``, in the order of its formulas."""
    source = (PACKAGE / file).read_bytes()
    found: dict[str, Mutant] = {}
    for function, start, stop, new in _Sites(source).found:
        text = (source[:start] + new.encode() + source[stop:]).decode()
        line = text.splitlines()[source[:start].count(b"\n")].strip()
        name = f"{file} {function}: {line}"
        while name in found:  # the same line stands twice in the function
            name += " (again)"
        ast.parse(text)
        found[name] = Mutant(file, name, text)
    return list(found.values())


class _Sites(ast.NodeVisitor):
    """Finds what can be turned in the bodies of functions: (function, first byte, byte behind, new text)."""

    def __init__(self, source: bytes) -> None:
        self.found: list[tuple[str, int, int, str]] = []
        self._source, self._within = source, ""
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        for node in ast.parse(source).body:
            self.visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Visit the methods."""
        for each in node.body:
            if isinstance(each, ast.FunctionDef):
                self.visit(each)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Visit the body of what is no tuning, but neither decorators nor annotations nor defaults."""
        if node.name in TUNING:
            return
        outside, self._within = self._within, node.name
        for each in node.body:
            self.visit(each)
        self._within = outside

    def visit_Raise(self, node: ast.Raise) -> None:
        """Leave the numbers of a message alone."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave the numbers of a message alone."""

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """Turn a sum; take its integers, and those of any other operation, for parts of a formula."""
        if isinstance(node.op, ast.Add):
            self._operator(node.left, node.right, "+", "-")
        self._integers(node.left, node.right)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """Turn a sum that is added up."""
        if isinstance(node.op, ast.Add):
            self._operator(node.target, node.value, "+=", "-=")
        self._integers(node.value)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        """Turn each comparison of a chain."""
        sides = [node.left, *node.comparators]
        for left, operator, right in zip(sides, node.ops, sides[1:], strict=False):
            # Beside an integer, one off is the same as turned.
            if type(operator) in _TURNED and not (_integer(left) or _integer(right)):
                self._operator(left, right, *_TURNED[type(operator)])
        self._integers(*sides)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Take the integers of a function that counts for parts of a formula."""
        if ast.unparse(node.func).rpartition(".")[2] in _COUNTING:
            self._integers(*node.args)
        self.generic_visit(node)

    def _integers(self, *nodes: ast.expr) -> None:
        for node in nodes:
            if (inner := _integer(node)) is not None:
                at = int(ast.unparse(inner))
                for value in (at - 1, at + 1):
                    self._note(*self._span(inner), str(value) if value >= 0 else f"({value})")

    def _operator(self, left: ast.expr, right: ast.expr, old: str, new: str) -> None:
        start = self._source.index(old.encode(), self._span(left)[1], self._span(right)[0])
        self._note(start, start + len(old), new)

    def _note(self, start: int, stop: int, new: str) -> None:
        if self._within:
            self.found.append((self._within, start, stop, new))

    def _span(self, node: ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self._lines[node.lineno - 1] + node.col_offset,
            self._lines[node.end_lineno - 1] + node.end_col_offset,
        )


def _integer(node: ast.expr) -> ast.Constant | None:
    """Return the integer that a node writes, without its sign; None if it writes none."""
    inner = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
    return inner if isinstance(inner, ast.Constant) and type(inner.value) is int else None
