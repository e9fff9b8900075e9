"""Photographs filtered from file to file: `im2col filter` beside libvips, ImageMagick, OpenCV and SciPy."""
