"""The graph of an operation over chunks: which tasks there are, and what they do."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from ...engine import scratch
from ...errors import naming
from ...spec.arrays import as_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...spec.cuts import Cut, Index

    Array = NDArray[Any]


class Step(Protocol):
    """What is done with each block."""

    def __call__(self, block: Array, cuts: Sequence[Cut]) -> Array:
        """Return the chunk of the result that a block of the image gives, cut so along each axis of the image."""
        ...


class Along(NamedTuple):
    """An axis of the result: the axis of the image that it follows, or its length where there is none."""

    axis: int | None
    length: int = 0


def over_chunks(
    name: str, x: Any, step: Step, cuts: Sequence[Sequence[Cut]], axes: Sequence[Along], dtype: np.dtype[Any]
) -> Any:
    """Return the dask array that a step makes of each block of another one.

    Parameters
    ----------
    name : str
        Of the operation, for people who look at the graph, and for errors of its tasks.
    x : dask.array.Array
    step : Step
        Kept once in the graph, however many tasks there are.
    cuts : sequence of sequences of Cut
        Along each axis of `x`.
    axes : sequence of Along
        Of the result.
    dtype : dtype
        Of the result.
    """
    token = f"{name}-{tokenize(x.name, step, cuts, axes, str(dtype))}"
    part, kept = f"part-{token}", f"step-{token}"
    graph: dict[Any, Any] = {kept: step}
    for numbers in itertools.product(*(range(len(each)) for each in cuts)):
        here = [each[i] for each, i in zip(cuts, numbers, strict=True)]
        sources, places = [], []
        for i, parts in enumerate(itertools.product(*(cut.parts for cut in here))):
            source: Any = (x.name, *(each.chunk for each in parts))
            if any(each.taken is not None for each in parts):
                taken = tuple(slice(None) if each.taken is None else each.taken for each in parts)
                graph[(part, *numbers, i)] = (partial(_taken, taken), source)
                source = (part, *numbers, i)
            sources.append(source)
            places.append((tuple(each.place for each in parts), tuple(each.index for each in parts)))
        bare = [cut._replace(parts=()) for cut in here]
        where = tuple(0 if each.axis is None else numbers[each.axis] for each in axes)
        graph[(token, *where)] = (partial(_made, name, bare, places), kept, sources)
    chunks = tuple(
        (each.length,) if each.axis is None else tuple(cut.length for cut in cuts[each.axis]) for each in axes
    )
    meta = np.empty((0,) * len(axes), dtype)
    return da.Array(HighLevelGraph.from_collections(token, graph, dependencies=[x]), token, chunks, meta=meta)


def reshaped(x: Any, chunks: Sequence[tuple[int, ...]]) -> Any:
    """Return a dask array whose chunks, each in another shape, are those of another one, in their order.

    As ``dask.array.reshape_blockwise``, which errs where both the first axis and the last one have a length of 1.

    Parameters
    ----------
    x : dask.array.Array
    chunks : sequence of tuple of int
        Of the result, along each axis: as many as `x` has, and each of as many numbers.
    """
    token = f"reshaped-{tokenize(x.name, chunks)}"
    places = itertools.product(*(range(len(each)) for each in chunks))
    sources = itertools.product(*(range(n) for n in x.numblocks))
    graph: dict[Any, Any] = {
        (token, *place): (partial(_in_shape, shape), (x.name, *source))
        for place, shape, source in zip(places, itertools.product(*chunks), sources, strict=True)
    }
    meta = np.empty((0,) * len(chunks), x.dtype)
    return da.Array(HighLevelGraph.from_collections(token, graph, dependencies=[x]), token, tuple(chunks), meta=meta)


def _in_shape(shape: tuple[int, ...], chunk: Array) -> Array:
    return chunk.reshape(shape)


def _taken(taken: tuple[slice, ...], chunk: Array) -> Array:
    """Return a part of a chunk: a copy, so that what is handed on does not keep the whole chunk."""
    return chunk[taken].copy()


def _made(name: str, cuts: list[Cut], places: list[tuple[Any, Any]], step: Step, parts: list[Array]) -> Array:
    """Return a chunk of the result, made of these parts of the image."""
    with naming(name):
        parts = [as_array("chunk", part, objects=True) for part in parts]  # dask may not know that they have masks
    shape = tuple(cut.size for cut in cuts)
    if len(parts) == 1 and parts[0].shape == shape and all(isinstance(each, slice) for each in places[0][1]):
        return step(parts[0], cuts)
    block = scratch.empty(shape, parts[0].dtype)
    for (place, index), part in zip(places, parts, strict=True):
        block[_open(place)] = part[_open(index)]
    return step(block, cuts)


def _open(index: tuple[Index, ...]) -> tuple[Index, ...]:
    """Return slices as they are, and as numbers for each axis where some axis has numbers."""
    if all(isinstance(each, slice) for each in index):
        return index
    return np.ix_(*(np.arange(each.start, each.stop) if isinstance(each, slice) else each for each in index))
