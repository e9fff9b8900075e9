"""
Edges of a photograph
=====================

Two kernels compare the pixels of a window: right against left, below against above. Both run over the photograph in
one call, as two filters of one layer. Together they tell how strong an edge is, and which way it runs.
"""

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np

from im2col import conv2d

photo = plt.imread(str(files("im2col") / "data/chelsea.jpg"))
grey = photo @ np.array((0.299, 0.587, 0.114), np.float32) / 255

# %%
# Sobel's weights smooth along the edge and take the difference across it. An image with an axis of channels, here of
# one, gives an image with two.

sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
w = np.stack([sobel, sobel.T])[:, np.newaxis]  # (filters, channels, height, width)
right, down = conv2d(grey[np.newaxis], w, padding="same", padding_mode="edge")
strength, angle = np.hypot(right, down), np.arctan2(down, right)

# On a ramp that rises by 1 a pixel, Sobel's weights sum to 8.
ramp = np.tile(np.arange(9, dtype=np.float32), (9, 1))
assert (conv2d(ramp, sobel) == 8).all()

# %%
# The colour is the direction, the brightness the strength.

hue = plt.get_cmap("hsv")((angle + np.pi) / (2 * np.pi))[..., :3]
shown = hue * np.clip(strength / 1.5, 0, 1)[..., np.newaxis]

fig, axes = plt.subplots(2, 2, figsize=(7.5, 5.4), layout="compressed")
panels = {
    "photograph": photo,
    "right − left": right,
    "below − above": down,
    "strength and direction": shown,
}
for ax, (title, image) in zip(axes.flat, panels.items(), strict=True):
    ax.imshow(image, cmap="gray", vmin=-1.5, vmax=1.5)
    ax.set_title(title)
    ax.axis("off")
plt.show()
