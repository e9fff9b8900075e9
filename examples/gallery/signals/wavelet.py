"""
A wavelet, and back
===================

Four small filters with stride 2 split an image into four of half the size: what is even, and what changes from left to
right, from top to bottom, and across. As the filters are orthogonal, ``conv_transpose`` with the same weights puts
the image together again, without an error.
"""

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np

from im2col import conv2d, conv_transpose

image = plt.imread(str(files("im2col") / "data/chelsea.jpg"))[40:296, 60:316].mean(axis=-1) / 255
low, high = np.array((1, 1)) / np.sqrt(2), np.array((1, -1)) / np.sqrt(2)  # Haar's
haar = np.array([[np.outer(a, b)] for a in (low, high) for b in (low, high)])  # (4 filters, 1 channel, 2, 2)

# %%
# The even part is split again, and again.

levels, even = [], image[np.newaxis]
for _ in range(3):
    parts = conv2d(even, haar, stride=2)
    levels.append(parts[1:])
    even = parts[:1]


def back(even: np.ndarray, levels: list[np.ndarray]) -> np.ndarray:
    for details in reversed(levels):
        even = conv_transpose(np.concatenate([even, details]), haar, stride=2)
    return even.reshape(image.shape)


assert np.allclose(back(even, levels), image)
# The transform keeps the sum of squares.
assert np.isclose(sum(float((part**2).sum()) for part in (even, *levels)), (image**2).sum())

# %%
# Most details are small. With only the greatest twentieth of all numbers kept, the photograph is still itself.

least = np.quantile(np.abs(np.concatenate([even.ravel(), *(part.ravel() for part in levels)])), 0.95)
compressed = back(even, [np.where(np.abs(part) < least, 0, part) for part in levels])
assert np.sqrt(np.mean((compressed - image) ** 2)) < 0.04

mosaic = even[0] / 8
for level, details in reversed(list(enumerate(levels))):
    across, down, diagonal = np.clip(0.5 + 3 * details / 2**level, 0, 1)
    mosaic = np.block([[mosaic, across], [down, diagonal]])
fig, axes = plt.subplots(1, 3, figsize=(7.5, 2.9), layout="compressed")
panels = {"photograph": image, "three levels": mosaic, "from 5 % of the numbers": compressed}
for ax, (title, shown) in zip(axes, panels.items(), strict=True):
    ax.imshow(shown, cmap="gray", vmin=0, vmax=1)
    ax.set_title(title)
    ax.axis("off")
plt.show()
