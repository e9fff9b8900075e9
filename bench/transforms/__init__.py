"""The contest of the transforms: `im2col` and `col2im` against the peers that offer them, and against a plain copy."""
