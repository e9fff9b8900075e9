"""The layers: data, and what follows from it."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, replace
from pathlib import Path

LAYERS = Path(__file__).with_name("layers.tsv")
_FEW = 8


@dataclass(frozen=True)
class Layer:
    """A convolution layer; each tuple has an entry for each spatial axis.

    Parameters
    ----------
    name : str
    kind : str
        The class by which results are summed up.
    batch, channels : int
    spatial : tuple of int
        Pixels of the image.
    filters : int
    kernel, stride, padding, dilation : tuple of int
        The padding is the same on both sides of an axis.
    groups : int
    tags : tuple of str
        Networks and purposes that it stands for.
    """

    name: str
    kind: str
    batch: int
    channels: int
    spatial: tuple[int, ...]
    filters: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    tags: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """What the patterns of the command are compared with."""
        return self.name, self.kind, *self.tags

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The image, NCHW."""
        return self.batch, self.channels, *self.spatial

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """The filters: (filters, channels of a group, *kernel)."""
        return self.filters, self.channels // self.groups, *self.kernel

    @property
    def padded_spatial(self) -> tuple[int, ...]:
        """Pixels of the padded image."""
        return tuple(n + 2 * p for n, p in zip(self.spatial, self.padding, strict=True))

    @property
    def output_spatial(self) -> tuple[int, ...]:
        """Positions along each axis."""
        axes = zip(self.padded_spatial, self.kernel, self.stride, self.dilation, strict=True)
        return tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in axes)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The result, NCHW."""
        return self.batch, self.filters, *self.output_spatial

    @property
    def terms(self) -> int:
        """Products in the sum of each element of the result."""
        return math.prod(self.weight_shape[1:])

    @property
    def flops(self) -> int:
        """Two for each product, taps in the padding included."""
        return 2 * math.prod(self.output_shape) * self.terms

    @property
    def packed_bytes(self) -> int:
        """Bytes of the filters and of the padded image, if there is padding, in float32."""
        padded = self.batch * self.channels * math.prod(self.padded_spatial) if any(self.padding) else 0
        return 4 * (math.prod(self.weight_shape) + padded)

    @property
    def flops_a_byte(self) -> float:
        """Operations for each byte that must move: image and filters read once, result written once."""
        moved = math.prod(self.image_shape) + math.prod(self.weight_shape) + math.prod(self.output_shape)
        return self.flops / (4 * moved)

    @property
    def is_depthwise(self) -> bool:
        """Whether each of several channels has one filter of its own."""
        return self.groups == self.channels == self.filters > 1

    @property
    def is_filter(self) -> bool:
        """Whether it filters one channel of one picture and keeps its size, as libraries for pictures do."""
        return (
            self.batch == self.channels == self.filters == 1
            and len(self.spatial) == 2
            and self.stride == self.dilation == (1, 1)
            and all(k == 2 * p + 1 for k, p in zip(self.kernel, self.padding, strict=True))
        )

    def miniature(self) -> Layer:
        """Return a layer of the same kind whose memory is no help to this one."""
        groups = min(self.groups, _FEW)
        spans = (d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))
        return replace(
            self,
            batch=1,
            channels=groups * min(self.channels // self.groups, _FEW),
            filters=groups * min(self.filters // self.groups, _FEW),
            spatial=tuple(min(n, span + _FEW) for n, span in zip(self.spatial, spans, strict=True)),
            groups=groups,
        )


def read_layers(path: Path = LAYERS) -> list[Layer]:
    """Return the layers of a table: tab-separated, one a line; an axis that a layer lacks has one pixel there."""
    with path.open(newline="", encoding="utf-8") as file:
        return [_layer(row) for row in csv.DictReader(file, delimiter="\t")]


def _layer(row: dict[str, str]) -> Layer:
    stride, padding, dilation = (tuple(map(int, row[name].split("x"))) for name in ("stride", "pad", "dilation"))
    spatial, kernel = (tuple(int(row[axis]) for axis in axes)[-len(stride) :] for axes in ("DHW", "TRS"))
    return Layer(
        row["name"],
        row["class"],
        batch=int(row["N"]),
        channels=int(row["C"]),
        spatial=spatial,
        filters=int(row["K"]),
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=int(row["groups"]),
        tags=tuple(row["tags"].split(",")),
    )
