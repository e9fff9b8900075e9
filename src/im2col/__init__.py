"""Convolution as matrix multiplication: the column matrix, the way back, and the convolution between them."""

from .configuration import clear_cache, show_config
from .convolution import conv, conv1d, conv2d, conv3d
from .costs import Cost, CostTable, cost
from .engine.threads import set_threads
from .errors import (
    ArgumentError,
    DTypeError,
    EngineWarning,
    GeometryError,
    Im2colError,
    LayoutError,
    MemoryBudgetError,
    MissingExtraError,
    OutputError,
    PhotoError,
    ShapeError,
)
from .geometry import Geometry
from .padding import window_geometry
from .pictures.illustration import Illustration, illustrate
from .plans import Plan, plan
from .shapes import output_shape, overlap_count
from .transform import col2im, im2col, patches, weight_matrix

__all__ = [
    "ArgumentError",
    "Cost",
    "CostTable",
    "DTypeError",
    "EngineWarning",
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
    "clear_cache",
    "col2im",
    "conv",
    "conv1d",
    "conv2d",
    "conv3d",
    "cost",
    "illustrate",
    "im2col",
    "output_shape",
    "overlap_count",
    "patches",
    "plan",
    "set_threads",
    "show_config",
    "weight_matrix",
    "window_geometry",
]
