"""What a command line or a table says in text, as values."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, DTypeError, Im2colError, MissingExtraError
from ..spec.arrays import as_dtype

if TYPE_CHECKING:
    import os

    import numpy as np

    from ..layers.costs import Cost, CostTable
    from ..spec.geometry import Window
    from ..spec.padding import Padding

LAYER_COLUMNS = ("name", "x_shape", "w_shape", "stride", "padding", "dilation", "groups")
"""Columns of a file of layers; all but the shapes may be left out, and cells left empty."""


def parse_shape(name: str, text: str) -> tuple[int, ...]:
    """Return a shape written as ``1,3,224,224`` or ``1x3x224x224``.

    Parameters
    ----------
    name : str
        The argument, which an error names.
    text : str
        What the user wrote.

    Raises
    ------
    ArgumentError
        If it is no list of whole numbers.

    Examples
    --------
    >>> parse_shape("IMAGE_SHAPE", "1x3x224x224")
    (1, 3, 224, 224)
    """
    try:
        return tuple(_integer(part) for part in re.split("[,x×]", text))
    except ValueError:
        raise ArgumentError(f"{name} must be whole numbers such as 1,3,224,224 or 1x3x224x224; got {text!r}") from None


def parse_window(name: str, text: str) -> Window:
    """Return a window argument written as ``3`` or ``3,5``.

    Parameters
    ----------
    name, text : str
        As for `parse_shape`.

    Raises
    ------
    ArgumentError
        If it is neither.

    Examples
    --------
    >>> parse_window("--stride", "2"), parse_window("--stride", "2,1")
    (2, (2, 1))
    """
    try:
        values = tuple(_integer(part) for part in text.split(","))
    except ValueError:
        raise ArgumentError(f"{name} must be a whole number, or one for each axis such as 3,5; got {text!r}") from None
    return values if len(values) > 1 else values[0]


def parse_padding(name: str, text: str) -> Padding:
    """Return padding written as ``1``, ``1,2``, ``1:2,0:3`` (before:after each axis), or as a name.

    Parameters
    ----------
    name, text : str
        As for `parse_shape`.

    Raises
    ------
    ArgumentError
        If it is none of these; names are checked where they are used.

    Examples
    --------
    >>> [parse_padding("--padding", text) for text in ("1", "1:2,0:3", "1,0:3", "same")]
    [1, ((1, 2), (0, 3)), (1, (0, 3)), 'same']
    """
    if text[:1].isalpha():
        return text  # type: ignore[return-value]  # resolve_geometry knows the names
    try:
        entries = tuple(_side(part) for part in text.split(","))
    except ValueError:
        raise ArgumentError(
            f"{name} must be a whole number, one for each axis such as 1,2, before:after for each axis such as "
            f"1:2,0:3, or a name such as same; got {text!r}"
        ) from None
    return entries if len(entries) > 1 or isinstance(entries[0], tuple) else entries[0]


def window_options(stride: str, padding: str, dilation: str) -> dict[str, Any]:
    """Return the window's options as keywords of the library's functions.

    Parameters
    ----------
    stride, padding, dilation : str
        What the user wrote.

    Raises
    ------
    ArgumentError
        As `parse_window` and `parse_padding`.
    """
    return {
        "stride": parse_window("--stride", stride),
        "padding": parse_padding("--padding", padding),
        "dilation": parse_window("--dilation", dilation),
    }


def parse_dtype(name: str, text: str) -> np.dtype[Any]:
    """Return a dtype by its name: NumPy's, or one that ml_dtypes adds.

    Parameters
    ----------
    name, text : str
        As for `parse_shape`.

    Raises
    ------
    DTypeError
        If it is none of numbers.
    MissingExtraError
        If it is one of ml_dtypes', which is not installed.

    Examples
    --------
    >>> parse_dtype("--dtype", "int8")
    dtype('int8')
    """
    try:
        return as_dtype(name, text)
    except DTypeError as cause:
        # The library's words, but without Python's quotes, and with a way out of this place.
        problem = str(cause).partition(";")[0].removeprefix(f"{name}=").replace("'", "")
    if re.fullmatch(r"bfloat16|float[468]_\w+|u?int[124]", text):
        try:
            import ml_dtypes
        except ImportError as cause:
            raise MissingExtraError(f"{name} {text} needs ml_dtypes; install it with pip install ml_dtypes") from cause
        if hasattr(ml_dtypes, text):
            return as_dtype(name, getattr(ml_dtypes, text))
        problem = f"{text} is not a dtype"
    raise DTypeError(f"{name} {problem}; use one such as float32, int8 or bfloat16")


def _side(text: str) -> Any:
    before, colon, after = text.partition(":")
    return (_integer(before), _integer(after)) if colon else _integer(before)


def _integer(text: str) -> int:
    number = int(text)
    if abs(number) >= 1 << 63:
        raise ValueError
    return number


def read_layers(path: str | os.PathLike[str], **defaults: Any) -> CostTable:
    """Return the costs of the layers in a file of tab-separated values.

    Parameters
    ----------
    path : path-like
        The first line names columns out of `LAYER_COLUMNS`; each further line is a layer. Shapes, windows and padding
        are written as on the command line: ``1x64x56x56``, ``2,1``, ``same``.
    **defaults
        Arguments of `cost` for empty cells, and for columns that are left out.

    Returns
    -------
    CostTable

    Raises
    ------
    ArgumentError
        If the file cannot be read, or its columns or a cell are wrong.
    Im2colError
        If a layer is wrong; the error names its line.
    """
    from ..layers.costs import CostTable

    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, delimiter="\t"))
    except OSError as cause:
        raise ArgumentError(
            f"cannot read {str(path)!r}: {cause.strerror}; check the path and its permissions"
        ) from cause
    except (ValueError, csv.Error) as cause:
        raise ArgumentError(f"{path} is no file of tab-separated text: {cause}") from cause
    columns = lines[0] if lines else []
    if not {"x_shape", "w_shape"} <= set(columns) <= set(LAYER_COLUMNS):
        raise ArgumentError(
            f"the first line of {path} must name columns out of {', '.join(LAYER_COLUMNS)}, x_shape and w_shape among "
            f"them, separated by tabs; got {', '.join(columns) or 'nothing'}"
        )
    layers = []
    for number, cells in enumerate(lines[1:], 2):
        if not any(cells):
            continue
        try:
            if len(cells) > len(columns):
                raise ArgumentError(f"{len(cells)} cells for {len(columns)} columns; take the extra tabs out")
            layers.append(_layer(dict(zip(columns, map(str.strip, cells), strict=False)), defaults))
        except Im2colError as cause:
            raise type(cause)(f"{cause.message} (line {number} of {path})") from cause
    return CostTable(layers)


def _layer(cells: dict[str, str], defaults: dict[str, Any]) -> Cost:
    from ..layers.costs import cost

    options = {"name": cells.get("name") or "layer", **defaults}
    for key in ("stride", "padding", "dilation", "groups"):
        if cells.get(key):
            parse = parse_padding if key == "padding" else parse_window
            options[key] = parse(key, cells[key])
    x_shape, w_shape = (parse_shape(key, cells.get(key, "")) for key in ("x_shape", "w_shape"))
    return cost(x_shape, w_shape, **options)
