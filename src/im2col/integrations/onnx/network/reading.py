"""A model's file, which may be broken, or made to harm."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import external_data_helper, inliner, numpy_helper

from ....engine.host import require_memory
from ....errors import ArgumentError, FileError, ShapeError, class_of, shown, words_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

OLDEST = 7
"""The first opset whose arithmetic broadcasts as NumPy's does."""
NEWEST = onnx.defs.onnx_opset_version()
"""The newest opset that the installed onnx knows."""


def read(source: Any) -> tuple[Any, str, Path | None]:
    """Return a model, what it is called, and the folder that its external data lie in.

    Parameters
    ----------
    source : path, or onnx.ModelProto
        A model that was made in memory has no external data.

    Returns
    -------
    model : onnx.ModelProto
        Its functions are inlined.
    name : str
    folder : Path or None

    Raises
    ------
    FileError
        If the file cannot be read, or holds no model.
    ArgumentError
        If the source is neither, or the model's opset is unknown.
    """
    if isinstance(source, onnx.ModelProto):
        model, name, folder = source, source.graph.name or "model", None
    elif isinstance(source, (str, os.PathLike)):
        path = Path(source)
        model, name, folder = _parsed(path), path.name, path.parent
    else:
        raise ArgumentError(f"a model is a path or an onnx.ModelProto, got {class_of(source)}")
    _check_opsets(model, name)
    if not model.graph.output:
        raise FileError(f"{name} holds no network: its graph has no outputs")
    if model.functions:
        try:
            model = inliner.inline_local_functions(model)
        except Exception as cause:  # whatever onnx finds in them
            raise FileError(f"the functions of {name} cannot be inlined: {words_of(cause)}") from cause
    return model, name, folder


def _parsed(path: Path) -> Any:
    """Return the model in a file."""
    try:
        data = path.read_bytes()
    except OSError as cause:
        raise FileError(f"cannot read {shown(str(path))}: {cause.strerror or cause}") from cause
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as cause:  # a library's own, without a public name
        raise FileError(f"{path.name} is no ONNX file, or a part of one: {words_of(cause)}") from cause
    if not model.HasField("graph"):
        raise FileError(f"{path.name} is no ONNX file: it has no graph")
    return model


def _check_opsets(model: Any, name: str) -> None:
    """Refuse a model of an opset that the installed onnx does not know."""
    opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), None)
    if opset is None:
        if any(node.domain in ("", "ai.onnx") for node in model.graph.node):
            raise FileError(f"{name} does not say which opset it is of (opset_import)")
    elif not OLDEST <= opset <= NEWEST:
        way_out = "update onnx" if opset > NEWEST else "convert it with onnx.version_converter"
        raise ArgumentError(f"{name} is of opset {opset}, but {OLDEST} to {NEWEST} are served; {way_out}")


def tensor(proto: Any, folder: Path | None) -> NDArray[Any]:
    """Return the numbers of a tensor, which may lie in a file in the model's folder, and nowhere else.

    Raises
    ------
    FileError
        If they lie elsewhere, are not as many as its shape says, or cannot be read.
    MemoryBudgetError
        If they would not fit the memory.
    """
    what = f"the tensor {shown(proto.name)}"
    if min(proto.dims, default=0) < 0:
        raise FileError(f"{what} has the shape {shown(list(proto.dims))}")
    if external_data_helper.uses_external_data(proto):
        proto = _with_data(proto, folder, what)
    try:
        found: NDArray[Any] = numpy_helper.to_array(proto)  # which gives as many as there are, or fails
    except Exception as cause:  # whatever is wrong with it
        raise FileError(f"{what} of shape {shown(list(proto.dims))} cannot be read: {words_of(cause)}") from cause
    return found


def _with_data(proto: Any, folder: Path | None, what: str) -> Any:
    """Return a tensor with its external data in it."""
    entries = {each.key: each.value for each in proto.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise FileError(f"{what} lies in a file {shown(location)}, but the model was not read from one; load its path")
    base = folder.resolve()
    path = (base / location).resolve()
    if not location or Path(location).is_absolute() or not path.is_relative_to(base):
        raise FileError(f"{what} lies in {shown(location)}, which is not in the model's folder")
    try:
        if not path.is_file():
            raise FileError(f"{what} lies in {shown(location)}, which is no file")
        offset = int(entries.get("offset") or 0)
        size = path.stat().st_size - offset
        length = int(entries.get("length") or size)
        if min(offset, length) < 0 or length > size:
            raise FileError(f"{what} has {length} bytes from {offset} on, which {shown(location)} has not")
        require_memory(length, "use a smaller model", "{} of {}", what, location)
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(length)
    except (OSError, ValueError) as cause:
        if isinstance(cause, FileError):
            raise
        raise FileError(f"{what} cannot be read from {shown(location)}: {words_of(cause)}") from cause
    copy = onnx.TensorProto()
    copy.CopyFrom(proto)
    del copy.external_data[:]
    copy.data_location = onnx.TensorProto.DEFAULT
    copy.raw_data = data
    return copy


def dense(proto: Any, folder: Path | None) -> NDArray[Any]:
    """Return a sparse tensor with its zeros.

    Raises
    ------
    FileError, ShapeError
        If its numbers do not fit its shape.
    MemoryBudgetError
        If it would not fit the memory.
    """
    values, indices = tensor(proto.values, folder), tensor(proto.indices, folder)
    shape = tuple(proto.dims)
    if min(shape, default=0) < 0:
        raise ShapeError(f"the sparse tensor {shown(proto.values.name)} has the shape {shown(list(shape))}")
    require_memory(math.prod(shape) * values.itemsize, "use a smaller model", "the tensor of shape {}", shape)
    flat = np.ravel_multi_index(tuple(indices.T), shape) if indices.ndim == 2 else indices
    if flat.size != values.size or (flat.size and not 0 <= flat.min() <= flat.max() < math.prod(shape)):
        raise ShapeError(f"the sparse tensor {shown(proto.values.name)} has numbers outside its shape {list(shape)}")
    result: NDArray[np.generic] = np.zeros(shape, values.dtype)
    result.reshape(-1)[flat] = values
    return result
