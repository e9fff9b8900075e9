"""Photographs: reading, filtering and writing them; the named kernels; sheets of pictures."""
