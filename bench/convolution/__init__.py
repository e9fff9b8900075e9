"""The contest of convolution: the library against its peers, on layers of real networks."""
