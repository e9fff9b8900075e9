"""The microkernels of the implicit GEMM: register tiles that multiply through the view.

Three of them, by what lies along the vectors' lanes: filters (`filter_lanes`), positions (`position_lanes`) or channels
(`channel_lanes`). Each is generated for its layer as LLVM IR, by a pure function of the tile's description, with the
loops over the layer around it.
"""
