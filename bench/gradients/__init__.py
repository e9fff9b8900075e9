"""The contest of the adjoints: gradients of images and of weights, and transposed convolutions."""
