"""Tables for tiles whose lanes are channels: depthwise layers whose channels are innermost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from ...spec.strides import offsets
from .rows import row_tables, tile_runs
from .schedule import Part, Pass, job_table
from .tiles.channel_lanes import JOB, ChannelTile, channel_lanes

if TYPE_CHECKING:
    from .operand import Operand
    from .tiles.epilogue import Epilogue


class ChannelShape(NamedTuple):
    """The tile that a layer was given: VL, NV and the most positions MR."""

    lanes: int
    vectors: int
    positions: int

    def __str__(self) -> str:
        return f"channels along the lanes, {self.positions} positions × {self.vectors} × {self.lanes} channels"


def channel_passes(
    op: Operand,
    shape: ChannelShape,
    parts: list[Part],
    epilogue: Epilogue,
    dtype: str,
    second_level: int,
    scales_at: int,
) -> list[Pass]:
    """Return the passes over the map, each with its kernel for each part of the channels.

    Parameters
    ----------
    op : Operand
        Its channels dense in image and result.
    shape : ChannelShape
    parts : list of Part
    epilogue : Epilogue
    dtype : str
        Of the kernel's pixels and weights.
    second_level : int
        Bytes of the cache in which a block of rows should stay.
    scales_at : int
        Bytes from the packed bias to the factors of requantisation.
    """
    g = op.geometry
    lines = offsets(g.kernel_size[:-1], g.tap_strides(op.pixel)[:-1])
    columns, stride, before = g.kernel_size[-1], g.stride[-1], g.padding[-1][0]
    passes = []
    for run in tile_runs(g, shape.positions):
        pixels = (run.positions - 1) * stride + g.span[-1]
        start = run.column * stride - before
        # Tiles that are gathered in a run see the padding alike.
        first, stop = max(0, -start), min(pixels, g.spatial_shape[-1] - start)
        only = run._replace(segments=((1, (0,)),))
        for rows, spans, tiles in row_tables(op, only, (*g.kernel_size[:-1], 1), 1):
            row_bytes = op.size * shape.lanes * shape.vectors * run.positions * tiles * math.prod(g.stride)
            calls = []
            for part in parts:
                vectors, last = part.shape
                tile = ChannelTile(
                    dtype=dtype,
                    lanes=shape.lanes,
                    vectors=vectors,
                    last=last,
                    positions=run.positions,
                    columns=columns,
                    stride=stride,
                    dilation=g.dilation[-1],
                    pixel_step=op.pixel[-1],
                    first=first,
                    stop=stop,
                    epilogue=epilogue,
                )
                job = job_table(
                    JOB,
                    lines=lines,
                    rows=rows,
                    spans=spans,
                    x_image=op.image,
                    w_block=part.packed * g.taps * op.size,
                    out_image=op.out_image,
                    out_block=op.out_filter * part.width,
                    block=max(1, second_level // 4 // row_bytes),
                    tiles=tiles,
                    x_tile=op.pixel[-1] * stride * run.positions,
                    out_tile=op.out_position[-1] * run.positions,
                    out_step=op.out_position[-1],
                    scales=scales_at,
                )
                calls.append((channel_lanes(tile), job, part.first * op.channel))
            passes.append(Pass(len(rows), tuple(calls), (lines, rows, spans)))
    return passes
