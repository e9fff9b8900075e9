"""Register tiles, one file a kind, by what lies along the vectors' lanes: filters, positions or channels.

A kind is a NamedTuple with the members of `tile_shape.TileShape`: which tiles a layer could get, what they would cost
by the model (`cycles`), how filters are packed for them and with which tables they are called. The microkernel itself
is LLVM IR, made by a pure function of a tile's description, with the loops over the layer around it (`nest`).
"""
