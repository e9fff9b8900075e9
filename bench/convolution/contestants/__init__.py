"""The contestants of the convolution: one file each; a new file is a new contestant."""
