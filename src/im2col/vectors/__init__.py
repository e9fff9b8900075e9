"""Golden vectors: the matrices of a layer as text that simulators, compilers and spreadsheets read."""
