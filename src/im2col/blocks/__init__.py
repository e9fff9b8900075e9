"""Convolutions of arrays that are larger than the memory: read, convolved and written block by block."""
