"""PyTorch's pools, with its channels first or last in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .problems import Problem


def prepare(problem: Problem, place: Literal["first", "last"]) -> Callable[[], NDArray[Any]] | None:
    """Call the public function under inference mode; whole images as `mean` and `amax`, which are faster there."""
    import torch

    torch.set_num_threads(problem.threads)
    layer, functional = problem.layer, torch.nn.functional
    axes = len(layer.image)
    image = torch.from_numpy(problem.first)
    if place == "last":
        if axes == 1:  # there is no such format
            return None
        image = image.to(memory_format=torch.channels_last if axes == 2 else torch.channels_last_3d)
    if layer.is_whole:
        over = tuple(range(2, 2 + axes))
        reduce = torch.amax if layer.kind == "max" else torch.mean

        def run() -> Any:
            return reduce(image, over, keepdim=True)

    else:
        pool = getattr(functional, f"{'max' if layer.kind == 'max' else 'avg'}_pool{axes}d")

        def run() -> Any:
            return pool(image, layer.kernel, layer.stride, layer.padding)

    def call() -> NDArray[Any]:
        with torch.inference_mode():
            result: NDArray[Any] = run().numpy()
        return result

    return call
