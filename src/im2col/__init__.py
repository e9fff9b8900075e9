"""Convolution as matrix multiplication."""

from .transform import col2im, im2col, output_shape, overlap_count, patches, weight_matrix

__all__ = ["col2im", "im2col", "output_shape", "overlap_count", "patches", "weight_matrix"]
