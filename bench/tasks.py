"""What a contest asks of a layer, if it asks several things."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .convolution.layers import Layer


@dataclass(frozen=True)
class Task:
    """One thing that is asked of a layer.

    Parameters
    ----------
    layer : Layer
    kind : str
        Which of them.
    itemsize : int
        Bytes of each number of image and weights.
    """

    layer: Layer
    kind: str
    itemsize: int = 4

    @property
    def name(self) -> str:
        """The layer's, and the kind."""
        return f"{self.layer.name} {self.kind}"

    @property
    def words(self) -> tuple[str, ...]:
        """What the patterns of the command are compared with."""
        return self.layer.words

    @property
    def flops(self) -> int:
        """As many as the convolution has: its adjoints make the same products."""
        return self.layer.flops

    @property
    def packed_bytes(self) -> int:
        """Bytes of the filters and of the padded image."""
        return self.layer.packed_bytes * self.itemsize // 4

    def miniature(self) -> Task:
        """Return a task of the same kind whose memory is no help to this one."""
        return replace(self, layer=self.layer.miniature())
