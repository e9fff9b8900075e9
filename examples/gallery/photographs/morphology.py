"""
Outlines by the greatest and the least
======================================

``max_pool`` with stride 1 lets every pixel take the greatest value of its window: bright things grow. Of the negative
image the same call gives the least, and dark things grow. The difference of both is an outline, whatever its direction.
"""

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np

from im2col import max_pool, patches

grey = plt.imread(str(files("im2col") / "data/chelsea.jpg"))[100:300, 0:280].mean(axis=-1)
size = 5


def greatest(image: np.ndarray) -> np.ndarray:
    pooled = max_pool(image, size, stride=1, padding="same")
    assert isinstance(pooled, np.ndarray)
    return pooled


dilated, eroded = greatest(grey), -greatest(-grey)
gradient = dilated - eroded

# The same by NumPy, of every window.
windows = patches(grey, size)
assert (gradient[2:-2, 2:-2] == windows.max(axis=(-2, -1)) - windows.min(axis=(-2, -1))).all()

# %%
# First smaller, then larger again: an *opening*. Bright things that are narrower than the window do not come back, and
# what is lost is the *top hat*: here whiskers and hairs.

opened = greatest(eroded)
top_hat = grey - opened
assert (top_hat >= 0).all()

fig, axes = plt.subplots(2, 2, figsize=(7.5, 5.5), layout="compressed")
panels = {"photograph": grey, "greatest of 5×5": dilated, "greatest − least": gradient, "top hat": top_hat}
for ax, (title, image) in zip(axes.flat, panels.items(), strict=True):
    ax.imshow(image, cmap="gray", vmax=90 if title == "top hat" else None)
    ax.set_title(title)
    ax.axis("off")
plt.show()
