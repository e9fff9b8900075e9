"""What one convolution is: arrays, layouts, padding, and the geometry, which is the index map."""
