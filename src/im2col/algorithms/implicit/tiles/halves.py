"""Every second pixel of two vectors, half by half: an order that costs one instruction where vectors have 32 bytes."""

from __future__ import annotations


def keeps_halves(lanes: int, size: int, stride: int, shuffled: bool) -> bool:
    """Return whether every second pixel of two vectors is taken half by half, and sums put in order when stored.

    In vectors of 32 bytes that is one instruction, and reads no pixel behind the last that is wanted.
    """
    return stride == 2 and not shuffled and lanes * size == 32 and size >= 4


def in_halves(lanes: int) -> list[int]:
    """Return every second lane of a vector, and of another from its second on; the first halves of both come first."""
    half = lanes // 2
    return [first + i for h in (0, half) for first in (h, lanes + h + 1) for i in range(0, half, 2)]


def in_order(lanes: int) -> list[int]:
    """Return where the lanes are that `in_halves` took."""
    taken = [i if i < lanes else i - 1 for i in in_halves(lanes)]
    return [taken.index(2 * i) for i in range(lanes)]
