"""The public functions: what a convolution in blocks will take, and the convolution."""

from __future__ import annotations

import math
import os
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..engine.host import require_memory
from ..errors import ArgumentError, FileError, Im2colError, MemoryBudgetError, format_bytes, named, shown
from ..importing import importing
from ..layers.convolution import conv, convolution, may_fix
from ..spec.arguments import flag, integer, is_a, word
from ..spec.arrays import as_array
from ..spec.problem import keywords, refuse_unknown
from ..version import __version__
from .axis import Axis
from .ends import ArraySink, check_sink, chunks_of, shape_and_dtype
from .plan import BlockPlan, Blocks, Sizes, choose
from .product import Product, digest
from .reader import Reader

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..files import Progress
    from ..spec.problem import Problem
    from .axis import Piece
    from .journal import Journal
    from .npy_file import NpyFile

    Array = NDArray[Any]
    Sink = ArraySink | NpyFile

MEMORY = 128 << 20
"""Bytes that blocks may take, unless a call says otherwise: as large as dask makes a chunk."""
_WORKSPACE = 16 << 20
"""Bytes that an algorithm which makes blocks of the column matrix may take for them, unless a call says otherwise."""
_MOST_BYTES = 1 << 47
"""Of an image, and of a result: one that is larger is a mistake in its padding, whose blocks could not be counted."""


@named
def plan_blocks(
    source: Any, w: ArrayLike, sink: Any = None, bias: ArrayLike | None = None, *, memory: int = MEMORY, **options: Any
) -> BlockPlan:
    """Return what `convolve_blocks` will take: memory, blocks, and bytes that are read and written. Nothing is read.

    Parameters
    ----------
    source, w, bias, memory, **options
        As for `convolve_blocks`.
    sink : optional
        As for `convolve_blocks`; blocks follow its chunks. If left out, it has none.

    Returns
    -------
    BlockPlan
        Print it.

    Raises
    ------
    Im2colError
        As `convolve_blocks`.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import plan_blocks
    >>> source = np.broadcast_to(np.float32(0), (40000, 30000))
    >>> plan = plan_blocks(source, np.ones((1, 1, 5, 5), np.float32), padding="same", memory=64 << 20)
    >>> plan.times_read, plan.memory_bytes <= 64 << 20
    (1.0, True)
    """
    refuse_unknown("plan_blocks", options, keywords(conv) - {"out"})
    return _work(source, w, sink, bias, memory, options).plan


@named
def convolve_blocks(
    source: Any,
    w: ArrayLike,
    sink: Any,
    bias: ArrayLike | None = None,
    *,
    memory: int = MEMORY,
    journal: str | os.PathLike[str] | None = None,
    force: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> BlockPlan:
    """Convolve an image that does not fit the memory: block by block, from an array that can be sliced, to another one.

    Parameters
    ----------
    source : array
        The image: anything with a shape, a dtype of NumPy and slices, such as ``np.load(path, mmap_mode="r")``, an
        array of Zarr, a dataset of h5py, or a page of a TIFF file as tifffile shows it to Zarr. Axes as for `conv`.
    w : array_like, (n, C/groups, *kernel)
        The filters.
    sink : path-like or array
        The .npy file to write, which appears when it is complete; or an array of the result's shape and dtype that
        blocks are assigned to.
    bias : array_like, (n,), optional
        Added to each output map.
    memory : int
        Bytes that may be taken, at most. What source and sink take themselves comes on top: the chunks that they
        decompress at a time.
    journal : path-like, optional
        A .json file that says which blocks are done. A run that was interrupted, or failed, leaves it, and what has
        been written; the same call goes on from there. It is removed at the end.
    force : bool
        Replace a file that exists.
    progress : callable, optional
        ``progress(done, total)``, in bytes of the result, after each block.
    **options
        Every keyword of `conv` but `out`. `chunked` is True unless an algorithm is named that cannot, or numbers are
        complex.

    Returns
    -------
    BlockPlan
        What it took, which `plan_blocks` tells beforehand.

    Raises
    ------
    ShapeError, LayoutError, GeometryError, ArgumentError, DTypeError, OutputError
        If an argument does not fit, or `sink` is read-only or the source; or if the journal is that of another call.
        Nothing has been read then, nor written.
    MemoryBudgetError
        If the smallest block needs more than `memory`, or `memory` is not available; before anything is read, too.
    FileError
        If the file, or the journal, cannot be written, or the disk is full; or if another run, of any process or
        thread, has the journal.
    Exception
        What the source or the sink raises. A file is not there then; an array has the blocks that were written.

    See Also
    --------
    plan_blocks : what it will take.
    conv : the same for arrays in memory.

    Notes
    -----
    The result has the bits of ``conv(source, w, bias, chunked=True, …)``, however the image is cut. Blocks end where
    chunks of the sink end, so that each is written once; if there are none, where those of the source end. What a block
    shares with the one before it stays in memory, so each pixel is read once, unless not even a few rows fit `memory`.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import convolve_blocks
    >>> source, sink = np.arange(12.0).reshape(3, 4), np.empty((2, 3))
    >>> plan = convolve_blocks(source, np.ones((1, 1, 2, 2)), sink)
    >>> sink
    array([[10., 14., 18.],
           [26., 30., 34.]])
    """
    refuse_unknown("convolve_blocks", options, keywords(conv) - {"out"})
    if not (progress is None or callable(progress)):
        raise ArgumentError(f"progress must be a function of two numbers, got {shown(progress)}")
    if sink is None:
        raise ArgumentError("sink is None; pass the path of a .npy file, or an array of the result's shape and dtype")
    force, work = flag("force", force), _work(source, w, sink, bias, memory, options)
    problem, plan = work.problem, work.plan
    path = _path_of("sink", sink)
    with importing:
        from ..files import check_target  # which needs what takes longer to import than small programs run
        from .journal import Journal
        from .npy_file import NpyFile

    if path is not None:
        check_target(path, force=force)
    require_memory(plan.memory_bytes, "pass a smaller memory=", "a block of the image with its result")
    with ExitStack() as stack:
        kept = None
        if journal is not None:
            where = _path_of("journal", journal)
            if where is None:
                raise ArgumentError(f"journal must be the path of a .json file, got {shown(journal)}; pass one")
            kept = stack.enter_context(Journal(where, work.identity(path), plan.blocks, path))
        if path is None:
            work.run(source, ArraySink(sink), kept, progress)
            return plan
        try:
            part = None if kept is None else kept.part
            file = NpyFile(path, problem.output_shape, problem.dtype, force=force, part=part)
        except Im2colError:
            if kept is not None and kept.is_new:
                kept.remove()
            raise
        with file:
            work.run(source, file, kept, progress)
    return plan


class _Work(NamedTuple):
    """A convolution in blocks, all arguments checked.

    Parameters
    ----------
    problem : Problem
        Of the whole image.
    product : Product
    chunks : tuple of int
        Of the source.
    blocks : Blocks
    plan : BlockPlan
    """

    problem: Problem
    product: Product
    chunks: tuple[int, ...]
    blocks: Blocks
    plan: BlockPlan

    def run(self, source: Any, sink: Sink, journal: Journal | None, progress: Progress | None) -> None:
        """Convolve all blocks that are not done yet."""
        p, blocks = self.problem, self.blocks
        reader = Reader(source, self.chunks, p, blocks)
        memory = np.empty(math.prod(blocks.positions) * p.filters, p.dtype)
        done, written = 0, 0
        known = 0 if journal is None else journal.done
        with nullcontext() if journal is None else journal.kept_for(sink):
            for pieces in blocks.pieces():
                shape = p.layout.from_canonical_shape(
                    pieces[0].stop - pieces[0].first, p.filters, [each.stop - each.first for each in pieces[1:]]
                )
                result = memory[: math.prod(shape)].reshape(shape)
                written += result.nbytes
                if done >= known:
                    self.product(reader.block(pieces), result)
                    sink.write(self._place(pieces), result)
                done += 1
                if journal is not None and done > known:
                    journal.advance(done, sink)
                if progress is not None:
                    progress(written, p.output_bytes)

    def _place(self, pieces: tuple[Piece, ...]) -> tuple[slice, ...]:
        """Return where the result of a block belongs."""
        batch, *spatial = [slice(each.first, each.stop) for each in pieces]
        axes = self.problem.layout
        along = dict(zip(axes.spatial, spatial, strict=True)) | {"N": batch, "C": slice(0, self.problem.filters)}
        return tuple(along[letter] for letter in axes.axes)

    def identity(self, path: str | None) -> dict[str, str]:
        """Return what makes another call the same: in words, or as a digest."""
        p, b = self.problem, self.blocks
        chunks = [(axis.source_chunk, axis.sink_chunk) for axis in b.axes]
        where = "array" if path is None else os.path.abspath(path)  # noqa: PTH100 (as in `ends`)
        layer = (p.layout, p.geometry, p.groups, p.padding_mode, p.padding_bytes, p.activation, p.flip, p.x_zero_point)
        sums = p.precision, p.chunked, self.product.options.get("algorithm"), self.product.target
        return {
            "version of im2col": __version__,
            "source": f"{p.x_shape} of {p.x_dtype}",
            "sink": f"{where} {p.output_shape} of {p.dtype}",
            "weights": self.product.digest,
            "options": digest(repr(layer).encode()),
            "algorithm or CPU": digest(repr(sums).encode()),
            "blocks (memory, threads or chunks)": f"{b.units} along {b.roll} of {chunks}",
        }


def _path_of(name: str, value: Any) -> str | None:
    """Return what a user passed as a path; None for an object that is none, such as an array.

    Raises
    ------
    ArgumentError
        If it is a path that cannot say where.
    """
    if not is_a(value, (str, os.PathLike)):
        return None
    try:
        given: Any = value if word(value) is None else word(value)
        return str(os.fspath(given))
    except Exception as cause:  # an object's own error
        raise ArgumentError(f"{name} must be a path that can be read, got {shown(value)}; pass a str") from cause


def _work(source: Any, w: Any, sink: Any, bias: Any, memory: Any, options: dict[str, Any]) -> _Work:
    """Check all arguments, and cut the image into blocks.

    Raises
    ------
    Im2colError
    """
    most = integer("memory", memory, minimum=1)
    shape, dtype = shape_and_dtype("source", source)
    filters, terms = as_array("w", w), None if bias is None else as_array("bias", bias)
    given = {"chunked": may_fix(dtype, filters.dtype, options.get("algorithm", "auto")), **options}
    given.setdefault("workspace_limit", _WORKSPACE)
    problem = convolution(shape, dtype, filters, terms, **given).operation.choices[0].problem
    padded = math.prod((problem.batch, problem.channels, *problem.geometry.padded_shape)) * problem.x_dtype.itemsize
    if max(padded, problem.output_bytes) > _MOST_BYTES:
        raise MemoryBudgetError(
            f"the padded image takes {format_bytes(padded)} and the result {problem.output_shape} "
            f"{format_bytes(problem.output_bytes)}, which no disk holds; use less padding"
        )
    written = (1,) * len(shape)
    path = _path_of("sink", sink)
    if path is not None:
        if not path.lower().endswith(".npy"):
            raise FileError(f"the result is written as a .npy file, got {shown(path)}; name one, or pass an array")
    elif sink is not None:
        check_sink(sink, source, problem.output_shape, problem.dtype)
        written = chunks_of(sink, problem.output_shape, written=True)
    chunks = chunks_of(source, shape)
    product = Product(problem, filters, terms, given)
    sizes = Sizes(
        problem.channels * problem.x_dtype.itemsize,
        problem.filters * problem.dtype.itemsize,
        math.prod(chunks) * problem.x_dtype.itemsize,
        _outermost(problem, shape),
    )
    blocks, nbytes = choose(_axes(problem, chunks, written), sizes, most, product.workspace)
    image = math.prod(shape) * problem.x_dtype.itemsize
    plan = BlockPlan(
        blocks=blocks.count,
        block_shape=problem.layout.from_canonical_shape(blocks.positions[0], problem.filters, blocks.positions[1:]),
        memory_bytes=nbytes,
        bytes_read=blocks.bytes_read,
        bytes_written=problem.output_bytes,
        times_read=blocks.bytes_read / image if image else 0.0,
    )
    return _Work(problem, product, chunks, blocks, plan)


def _outermost(problem: Problem, shape: tuple[int, ...]) -> int | None:
    """Return which of the axes along which an image can be cut lies outermost; None if the channels do."""
    letter = next((a for a, n in zip(problem.layout.axes, shape, strict=True) if n > 1), "N")
    return None if letter == "C" else f"N{problem.layout.spatial}".index(letter)


def _axes(problem: Problem, chunks: tuple[int, ...], written: tuple[int, ...]) -> list[Axis]:
    """Return the axes along which an image can be cut: the batch, then those of space."""
    g, layout = problem.geometry, problem.layout
    read, write = layout.spatial_shape(chunks), layout.spatial_shape(written)
    batch = layout.size("N", chunks), layout.size("N", written)
    axes = [Axis(problem.batch, 1, 1, 0, problem.batch, "constant", *batch)]
    for i, mode in enumerate(problem.padding_modes):
        window = g.span[i], g.stride[i], g.padding[i][0], g.output_shape[i]
        axes.append(Axis(g.spatial_shape[i], *window, mode, read[i], write[i]))
    return axes
