"""The library itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from im2col import col2im, im2col

from ...contestants import Contestant, Role

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]]:
    """Call the public functions."""
    layer, orientation = problem.layer, problem.task.orientation
    kernel, stride, padding, dilation = layer.kernel, layer.stride, layer.padding, layer.dilation

    def to_matrix() -> NDArray[np.float32]:
        return im2col(
            problem.image,
            kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
            orientation=orientation,
            out=problem.out,
            threads=problem.threads,
        )

    def to_image() -> NDArray[np.float32]:
        return col2im(
            problem.matrix,
            layer.image_shape,
            kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
            orientation=orientation,
            out=problem.out,
            threads=problem.threads,
        )

    return to_matrix if problem.task.transform == "im2col" else to_image


CONTESTANT = Contestant("im2col", "im2col", prepare, Role.OURS)
