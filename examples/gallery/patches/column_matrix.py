"""
The column matrix of a small image
==================================

The idea of the library in one picture: what stands under the kernel at each of its stops is a row of a matrix, and the
kernel, flattened in the same way, is a vector. Their product is the convolution.
"""

import matplotlib.pyplot as plt
import numpy as np

from im2col import conv2d, im2col, overlap_count

y, x = np.mgrid[:6, :8]
image = np.where((x - 3.5) ** 2 + (y - 2.5) ** 2 < 7, 9, 2)
kernel = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])

columns = im2col(image, 3)  # (24 positions, 9 taps)
result = columns @ kernel.ravel()
assert (result.reshape(4, 6) == conv2d(image, kernel)).all()
assert overlap_count(image.shape, 3).sum() == columns.size

# %%
# One of the 24 stops is marked: the patch in the image, its row in the matrix, its number in the result.

stop = 8
top, left = divmod(stop, 6)
fig, axes = plt.subplots(1, 4, figsize=(7.5, 4.6), width_ratios=(8, 9, 1, 6), layout="constrained")
panels = (
    ("image\n6×8", image, (left, top, 3, 3), "viridis"),
    ("column matrix\n24×9", columns, (0, stop, 9, 1), "viridis"),
    ("kernel\n9", kernel.reshape(9, 1), (0, 0, 1, 9), "RdBu_r"),
    ("result\n4×6", result.reshape(4, 6), (left, top, 1, 1), "RdBu_r"),
)
for ax, (title, matrix, (x0, y0, width, height), colours) in zip(axes, panels, strict=True):
    ax.imshow(matrix, cmap=colours, **({"vmin": -20, "vmax": 20} if colours == "RdBu_r" else {}))
    for (i, j), value in np.ndenumerate(matrix):
        dark = value == 2 or abs(value) > 12
        ax.text(j, i, value, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    ax.add_patch(plt.Rectangle((x0 - 0.5, y0 - 0.5), width, height, fill=False, color="red", linewidth=2.5))
    ax.set_title(title)
    ax.axis("off")
plt.show()

# %%
# A pixel in the middle of the image stands in the matrix nine times: the matrix of a large image is nine times as
# large. ``conv2d`` reads the image in this order and never makes the matrix. ``illustrate`` draws each step of it for
# arrays of your own.
