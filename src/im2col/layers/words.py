"""What plans print of an operation, in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import format_bytes

if TYPE_CHECKING:
    from ..spec.padded import Mode
    from ..spec.problem import Problem
    from ..spec.transposed import Transposed
    from .operation import Operation


def window_words(p: Problem) -> str:
    """Return a convolution's window."""
    g = p.geometry
    pads = f", padding {g.padding} ({mode_words(p.padding_mode, p.layout.spatial)})" if g.is_padded else ""
    return f"kernel {g.kernel_size}, stride {g.stride}, dilation {g.dilation}{pads}"


def layer_words(p: Problem) -> str:
    """Return a convolution's channels and filters."""
    return f"{p.channels} channels, {p.filters} filters, groups {p.groups}{', kernels flipped' * p.flip}"


def dtype_words(p: Problem) -> str:
    """Return a convolution's dtypes."""
    return f"{p.x_dtype} × {p.w_dtype} → {p.dtype}, sums in {p.accumulator}"


def mode_words(mode: Mode, axes: str) -> object:
    """Return a padding mode as users write it."""
    return mode if isinstance(mode, str) else dict(zip(axes, mode, strict=True))


def tail_words(p: Problem | Transposed) -> str:
    """Return what follows the sums."""
    tail = [str(part) for part in ("bias" * p.has_bias, p.activation) if part]
    return f", then {', '.join(tail)}" if tail else ""


def cost_words(operation: Operation) -> str:
    """Return what an operation must do."""
    return f"{operation.flops / 1e9:.4g} GFLOP, {format_bytes(operation.bytes_moved)} moved at least"
