"""Filters of large photographs: kernels of 5×5 to 63×63 on one channel: boxes, and of rank 1, 2 and full."""
