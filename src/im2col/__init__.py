"""Convolution as matrix multiplication: the column matrix, the way back, and the convolution between them.

Names are loaded when they are first asked for: a program that needs one of them does not wait for all.
"""

import typing

from .importing import importing as _importing
from .version import __version__ as __version__

if typing.TYPE_CHECKING:
    from .blocks.plan import BlockPlan
    from .blocks.run import convolve_blocks, plan_blocks
    from .configuration import clear_cache, show_config
    from .engine.threads import set_threads
    from .errors import (
        ArgumentError,
        DTypeError,
        EngineWarning,
        FileError,
        GeometryError,
        Im2colError,
        LayoutError,
        MemoryBudgetError,
        MissingExtraError,
        OutputError,
        PhotoError,
        ShapeError,
    )
    from .layers.convolution import conv, conv1d, conv2d, conv3d
    from .layers.costs import Cost, CostTable, cost
    from .layers.global_pooling import global_average_pool, global_lp_pool, global_max_pool
    from .layers.input_gradient import conv_input_gradient, plan_input_gradient
    from .layers.operators import conv_operator
    from .layers.plan import Plan, TransposedPlan, WeightGradientPlan, plan
    from .layers.pooling import average_pool, lp_pool, max_pool
    from .layers.pooling_gradients import average_pool_input_gradient, max_pool_input_gradient, max_unpool
    from .layers.quantized import plan_quantized, quantized_conv
    from .layers.sparse_matrix import conv_matrix
    from .layers.transpose import conv_transpose, plan_transpose
    from .layers.weight_gradient import conv_bias_gradient, conv_weight_gradient, plan_weight_gradient
    from .matrix.frame import weight_matrix
    from .matrix.image_tiles import Tile, blend_tiles, iter_tiles
    from .matrix.shapes import output_shape, overlap_count
    from .matrix.transform import col2im, im2col, patches
    from .pictures.illustration import Illustration, illustrate
    from .spec.addresses import Addresses
    from .spec.geometry import Geometry
    from .spec.padding import window_geometry

__all__ = [
    "Addresses",
    "ArgumentError",
    "BlockPlan",
    "Cost",
    "CostTable",
    "DTypeError",
    "EngineWarning",
    "FileError",
    "Geometry",
    "GeometryError",
    "Illustration",
    "Im2colError",
    "LayoutError",
    "MemoryBudgetError",
    "MissingExtraError",
    "OutputError",
    "PhotoError",
    "Plan",
    "ShapeError",
    "Tile",
    "TransposedPlan",
    "WeightGradientPlan",
    "average_pool",
    "average_pool_input_gradient",
    "blend_tiles",
    "clear_cache",
    "col2im",
    "conv",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_bias_gradient",
    "conv_input_gradient",
    "conv_matrix",
    "conv_operator",
    "conv_transpose",
    "conv_weight_gradient",
    "convolve_blocks",
    "cost",
    "global_average_pool",
    "global_lp_pool",
    "global_max_pool",
    "illustrate",
    "im2col",
    "iter_tiles",
    "lp_pool",
    "max_pool",
    "max_pool_input_gradient",
    "max_unpool",
    "output_shape",
    "overlap_count",
    "patches",
    "plan",
    "plan_blocks",
    "plan_input_gradient",
    "plan_quantized",
    "plan_transpose",
    "plan_weight_gradient",
    "quantized_conv",
    "set_threads",
    "show_config",
    "weight_matrix",
    "window_geometry",
]

_HOMES = {
    "blocks.plan": ("BlockPlan",),
    "blocks.run": (
        "convolve_blocks",
        "plan_blocks",
    ),
    "configuration": (
        "clear_cache",
        "show_config",
    ),
    "engine.threads": ("set_threads",),
    "errors": (
        "ArgumentError",
        "DTypeError",
        "EngineWarning",
        "FileError",
        "GeometryError",
        "Im2colError",
        "LayoutError",
        "MemoryBudgetError",
        "MissingExtraError",
        "OutputError",
        "PhotoError",
        "ShapeError",
    ),
    "layers.convolution": (
        "conv",
        "conv1d",
        "conv2d",
        "conv3d",
    ),
    "layers.costs": (
        "Cost",
        "CostTable",
        "cost",
    ),
    "layers.global_pooling": (
        "global_average_pool",
        "global_lp_pool",
        "global_max_pool",
    ),
    "layers.input_gradient": (
        "conv_input_gradient",
        "plan_input_gradient",
    ),
    "layers.operators": ("conv_operator",),
    "layers.plan": (
        "Plan",
        "TransposedPlan",
        "WeightGradientPlan",
        "plan",
    ),
    "layers.pooling": (
        "average_pool",
        "lp_pool",
        "max_pool",
    ),
    "layers.pooling_gradients": (
        "average_pool_input_gradient",
        "max_pool_input_gradient",
        "max_unpool",
    ),
    "layers.quantized": (
        "plan_quantized",
        "quantized_conv",
    ),
    "layers.sparse_matrix": ("conv_matrix",),
    "layers.transpose": (
        "conv_transpose",
        "plan_transpose",
    ),
    "layers.weight_gradient": (
        "conv_bias_gradient",
        "conv_weight_gradient",
        "plan_weight_gradient",
    ),
    "matrix.frame": ("weight_matrix",),
    "matrix.image_tiles": (
        "Tile",
        "blend_tiles",
        "iter_tiles",
    ),
    "matrix.shapes": (
        "output_shape",
        "overlap_count",
    ),
    "matrix.transform": (
        "col2im",
        "im2col",
        "patches",
    ),
    "pictures.illustration": (
        "Illustration",
        "illustrate",
    ),
    "spec.addresses": ("Addresses",),
    "spec.geometry": ("Geometry",),
    "spec.padding": ("window_geometry",),
}
"""Where each name stands, as type checkers read it above."""


def __getattr__(name: str) -> object:
    """Load a public name from its module, and keep it."""
    for home, names in _HOMES.items():
        if name in names:
            with _importing:
                from importlib import import_module

                value = getattr(import_module(f"{__name__}.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return what there is, loaded or not."""
    return sorted({*globals(), *__all__})
