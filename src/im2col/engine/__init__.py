"""The machine level: lanes, addresses, caches and threads. It knows nothing of convolution."""
