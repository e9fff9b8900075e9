"""Which dtypes each public function takes, and what it gives: found by calling it with every one.

``python -m tests.dtypes`` writes the table in docs/dtypes.md anew.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import im2col
from im2col import DTypeError

from .kit.nasty import registered_dtypes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

PAGE = Path(__file__).parents[1] / "docs" / "dtypes.md"
BEGIN, END = "<!-- dtypes: written by python -m tests.dtypes -->\n", "<!-- end of dtypes -->\n"
NUMPY = [
    *(np.dtype(code) for code in ("bool", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")),
    *(np.dtype(code) for code in ("g", "c8", "c16", "G", "M8[s]", "m8[s]", "U1", "S1", "V3", "i4,f4", "O", "T")),
]
NAMES = {"g": "longdouble", "G": "clongdouble"}
"""Names that do not depend on the machine."""


def array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return ones, or what a dtype has in their place."""
    if dtype.kind in "OT":
        return np.full(shape, 1 if dtype.kind == "O" else "1", dtype)
    return np.zeros(shape, dtype) if dtype.kind in "MmUSV" and dtype.isbuiltin != 2 else np.ones(shape).astype(dtype)


def _plan(d: np.dtype[Any]) -> Any:
    return im2col.plan((1, 2, 3, 3), array((2, 2, 2, 2), d), algorithm="reference")(array((1, 2, 3, 3), d))


def _plan_transpose(d: np.dtype[Any]) -> Any:
    made = im2col.plan_transpose((1, 2, 2, 2), array((2, 2, 2, 2), d), algorithm="reference")
    return made(array((1, 2, 2, 2), d))


def _plan_input_gradient(d: np.dtype[Any]) -> Any:
    made = im2col.plan_input_gradient((1, 2, 3, 3), array((2, 2, 2, 2), d), algorithm="reference")
    return made(array((1, 2, 2, 2), d))


def _plan_weight_gradient(d: np.dtype[Any]) -> Any:
    made = im2col.plan_weight_gradient((1, 2, 3, 3), 2, 2, x_dtype=d, algorithm="reference")
    return made(array((1, 2, 3, 3), d), array((1, 2, 2, 2), d))


def _plan_quantized(d: np.dtype[Any]) -> Any:
    made = im2col.plan_quantized((1, 2, 3, 3), array((2, 2, 2, 2), d), x_dtype=d, x_scale=1, w_scale=1, y_scale=1)
    return made(array((1, 2, 3, 3), d))


def _quantized(d: np.dtype[Any]) -> Any:
    return im2col.quantized_conv(
        array((1, 2, 3, 3), d), array((2, 2, 2, 2), d), x_scale=1, w_scale=1, y_scale=1, algorithm="reference"
    )


def _blocks(d: np.dtype[Any]) -> Any:
    source, w = array((1, 2, 3, 3), d), array((2, 2, 2, 2), d)
    im2col.plan_blocks(source, w)
    sink = np.empty_like(im2col.conv(source, w))
    im2col.convolve_blocks(source, w, sink)
    return sink


def _mean(d: np.dtype[Any]) -> Any:
    return im2col.col2im(array((4, 4), d), (3, 3), 2, reduce="mean")


def _padded(d: np.dtype[Any]) -> Any:
    return im2col.im2col(array((3, 3), d), 2, padding=1)


COPIES: dict[str, Callable[[np.dtype[Any]], Any]] = {
    "im2col": lambda d: im2col.im2col(array((3, 3), d), 2),
    "patches": lambda d: im2col.patches(array((3, 3), d), 2),
    "weight_matrix": lambda d: im2col.weight_matrix(array((2, 2, 2, 2), d)),
    "iter_tiles": lambda d: next(im2col.iter_tiles(array((3, 3), d), 2)).pixels,
}
SUMS: dict[str, Callable[[np.dtype[Any]], Any]] = {
    "col2im, sum": lambda d: im2col.col2im(array((4, 4), d), (3, 3), 2),
    "col2im, mean": _mean,
    "im2col, padded": _padded,
    "blend_tiles": lambda d: im2col.blend_tiles(
        (tile, array((2, 2), d)) for tile in im2col.iter_tiles(np.zeros((3, 3)), 2, overlap=1)
    ),
}
CONVOLUTIONS: dict[str, Callable[[np.dtype[Any]], Any]] = {
    "conv": lambda d: im2col.conv(array((1, 2, 3, 3), d), array((2, 2, 2, 2), d)),
    "conv1d": lambda d: im2col.conv1d(array((3,), d), array((2,), d)),
    "conv2d": lambda d: im2col.conv2d(array((3, 3), d), array((2, 2), d), algorithm="explicit"),
    "conv3d": lambda d: im2col.conv3d(array((3, 3, 3), d), array((2, 2, 2), d), algorithm="reference"),
    "plan": _plan,
    "convolve_blocks": _blocks,
    "conv_transpose": lambda d: im2col.conv_transpose(array((1, 2, 2, 2), d), array((2, 2, 2, 2), d)),
    "plan_transpose": _plan_transpose,
    "conv_input_gradient": lambda d: im2col.conv_input_gradient(
        array((1, 2, 2, 2), d), array((2, 2, 2, 2), d), (1, 2, 3, 3)
    ),
    "plan_input_gradient": _plan_input_gradient,
    "conv_weight_gradient": lambda d: im2col.conv_weight_gradient(array((1, 2, 3, 3), d), array((1, 2, 2, 2), d), 2),
    "conv_bias_gradient": lambda d: im2col.conv_bias_gradient(array((1, 2, 2, 2), d)),
}
OTHERS: dict[str, Callable[[np.dtype[Any]], Any]] = {
    "plan_weight_gradient": _plan_weight_gradient,
    "conv_matrix": lambda d: im2col.conv_matrix(array((2, 2, 2, 2), d), (2, 3, 3)),
    "conv_operator": lambda d: im2col.conv_operator(array((2, 2, 2, 2), d), (2, 3, 3)),
    "quantized_conv": _quantized,
    "plan_quantized": _plan_quantized,
    "cost": lambda d: im2col.cost((1, 2, 3, 3), (2, 2, 2, 2), dtype=d),
    "illustrate": lambda d: im2col.illustrate(array((1, 2, 3, 3), d), array((2, 2, 2, 2), d)),
}
POOLS: dict[str, Callable[[np.dtype[Any]], Any]] = {
    "max_pool": lambda d: im2col.max_pool(array((3, 3), d), 2),
    "global_max_pool": lambda d: im2col.global_max_pool(array((3, 3), d)),
    "average_pool": lambda d: im2col.average_pool(array((3, 3), d), 2),
    "global_average_pool": lambda d: im2col.global_average_pool(array((3, 3), d)),
    "average_pool_input_gradient": lambda d: im2col.average_pool_input_gradient(array((2, 2), d), (3, 3), 2, stride=1),
    "lp_pool": lambda d: im2col.lp_pool(array((3, 3), d), 2),
    "global_lp_pool": lambda d: im2col.global_lp_pool(array((3, 3), d)),
    "max_pool_input_gradient": lambda d: im2col.max_pool_input_gradient(array((1, 2), d), [[0, 1]], (3, 3)),
    "max_unpool": lambda d: im2col.max_unpool(array((1, 2), d), [[0, 1]], (3, 3)),
}
FUNCTIONS = COPIES | SUMS | CONVOLUTIONS | OTHERS | POOLS
"""A call of every public function that takes numbers, by dtype."""


def name_of(dtype: np.dtype[Any]) -> str:
    """Return what the table calls a dtype."""
    if dtype.names is not None:
        return "structured"
    if dtype.kind in "MmUSVOT" and dtype.isbuiltin != 2:
        return {"M": "datetime64", "m": "timedelta64", "U": "str", "S": "bytes", "V": "void", "O": "object"}.get(
            dtype.kind, "StringDType"
        )
    return NAMES.get(dtype.char, str(dtype)) if dtype.isbuiltin == 1 else str(dtype)


def outcome(function: str, dtype: np.dtype[Any]) -> str:
    """Return what a function gives for a dtype: the result's dtype, or the way out of its refusal."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            result = FUNCTIONS[function](dtype)
        except DTypeError as refusal:
            way_out = refusal.message.rpartition("; ")[2]
            return "refused: " + re.sub(
                r"\b(w|columns|grad|source)(?=[.,\[) ])", "x", way_out
            )  # whichever array it was
    return name_of(np.dtype(result.dtype)) if hasattr(result, "dtype") else "taken"


def outcomes() -> Iterator[tuple[np.dtype[Any], dict[str, str]]]:
    """Yield every dtype with what each function gives for it."""
    for dtype in [*NUMPY, *registered_dtypes()]:
        yield dtype, {function: outcome(function, dtype) for function in FUNCTIONS}


def _common(found: dict[str, str], names: dict[str, Any]) -> str:
    """Return the outcome that functions share; where they differ, each."""
    of = {name: found[name] for name in names}
    different: dict[str, list[str]] = {}
    for name, each in of.items():
        different.setdefault(each, []).append(f"`{name}`")
    if len(different) == 1:
        return next(iter(different))
    return "; ".join(f"{', '.join(functions)}: {each}" for each, functions in different.items())


def table() -> str:
    """Return the table, in Markdown."""
    columns = {"copies": COPIES, **{name: {name: call} for name, call in SUMS.items()}, "convolutions": CONVOLUTIONS}
    columns |= {name: {name: call} for name, call in OTHERS.items()} | {"pools": POOLS}
    rows = [f"| dtype | {' | '.join(columns)} |", f"|{'---|' * (len(columns) + 1)}"]
    reasons: dict[str, int] = {}
    for dtype, found in outcomes():
        cells = []
        for names in columns.values():
            cell = _common(found, names)
            if cell.startswith("refused: ") and ";" not in cell:
                cell = f"– [{reasons.setdefault(cell, len(reasons) + 1)}]"
            cells.append("same" if cell == name_of(dtype) else cell)
        rows.append(f"| {name_of(dtype)} | {' | '.join(cells)} |")
    notes = [f"{number}. {reason}" for reason, number in reasons.items()]
    return "\n".join([*rows, "", *notes, ""])


def recorded() -> str:
    """Return the table that the page has."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    """Write the table anew."""
    PAGE.write_text(PAGE.read_text().replace(BEGIN + recorded(), BEGIN + table()))


if __name__ == "__main__":
    main()
