"""Tables for tiles whose lanes are filters: which tiles a layer takes, where they start, which taps they multiply."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .rows import row_tables, tile_runs
from .schedule import Part, Pass, job_table
from .tiles.filter_lanes import JOB, FilterTile, filter_lanes

if TYPE_CHECKING:
    from .operand import Operand
    from .tiles.epilogue import Epilogue


class FilterShape(NamedTuple):
    """The tile that a layer was given.

    Parameters
    ----------
    lanes, vectors, positions : int
        VL, NV and the most positions MR.
    transposed : bool
        As in `FilterTile`.
    """

    lanes: int
    vectors: int
    positions: int
    transposed: bool

    def __str__(self) -> str:
        return f"filters along the lanes, {self.positions} positions × {self.vectors} × {self.lanes} filters"


def filter_passes(
    op: Operand,
    shape: FilterShape,
    channels: int,
    parts: list[Part],
    epilogue: Epilogue,
    dtype: str,
    second_level: int,
    scales_at: int,
    dot: str | None,
) -> list[Pass]:
    """Return the passes over the map, each with its kernel for each part of the filters.

    Parameters
    ----------
    op : Operand
    shape : FilterShape
    channels : int
        That one filter reads.
    parts : list of Part
        Of one group's filters.
    epilogue : Epilogue
    dtype : str
        Of the kernel's pixels and weights.
    second_level : int
        Bytes of the cache in which a block of rows should stay.
    scales_at : int
        Bytes from the packed bias to the factors of requantisation.
    dot : str or None
        As in `FilterTile`.
    """
    g = op.geometry
    taps = np.add.outer(g.tap_offsets(op.pixel), np.arange(channels) * op.channel).reshape(-1)
    passes = []
    for run in tile_runs(g, shape.positions):
        for rows, spans, tiles in row_tables(op, run, g.kernel_size, channels):
            step = op.pixel[-1] * g.stride[-1]
            filters = sum(part.blocks * part.width for part in parts)
            row_bytes = run.positions * tiles * (channels * op.size * math.prod(g.stride) + filters * op.out_size)
            block = max(1, second_level // 4 // max(1, row_bytes))
            calls = []
            for part in parts:
                vectors, last = part.shape
                tile = FilterTile(
                    dtype=dtype,
                    lanes=shape.lanes,
                    vectors=vectors,
                    last=last,
                    pixels=tuple(m * step for m in range(run.positions)),
                    segments=tuple(mask for mask, _ in run.segments),
                    transposed=shape.transposed,
                    spread=op.spread if shape.transposed else 1,
                    epilogue=epilogue,
                    dot=dot,
                )
                packed = part.packed * g.taps * channels * op.size
                job = job_table(
                    JOB,
                    taps=taps,
                    rows=rows,
                    spans=spans,
                    x_image=op.image,
                    x_group=op.channel * channels,
                    x_block=0,
                    w_group=part.blocks * packed,
                    w_block=packed,
                    bias_group=part.blocks * part.packed * op.size,
                    out_image=op.out_image,
                    out_group=op.out_filter * sum(p.width * p.blocks for p in parts),
                    out_block=op.out_filter * part.width,
                    block=block,
                    tiles=tiles,
                    x_tile=step * run.positions,
                    out_tile=op.out_position[-1] * run.positions,
                    out_step=op.out_filter if shape.transposed else op.out_position[-1],
                    scales=scales_at,
                )
                calls.append((filter_lanes(tile), job, 0))
            passes.append(Pass(len(rows), tuple(calls), (taps, rows, spans)))
    return passes
