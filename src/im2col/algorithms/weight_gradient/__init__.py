"""The gradient of a convolution's weights: the result's gradient times the column matrix, one file an algorithm.

In matrices: the forward product is ``Y = W · X`` with X the column matrix (taps × positions), so the gradient of the
weights is ``G · Xᴴ``, a sum over all positions of all images.
"""
