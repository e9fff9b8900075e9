"""
Tiles without seams
===================

An image that is too large for a function is cut into tiles, and each tile is computed by itself. A filter needs pixels
beyond the end of its tile: without them there are seams. ``iter_tiles`` lets neighbours overlap, and ``blend_tiles``
lets one fade into the next.
"""

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np

from im2col import blend_tiles, conv2d, iter_tiles

grey = plt.imread(str(files("im2col") / "data/chelsea.jpg"))[60:252, 90:378].mean(axis=-1)
taps = np.exp(-0.5 * (np.arange(-8, 9) / 4) ** 2)
kernel = np.outer(taps, taps) / taps.sum() ** 2


def soft(image: np.ndarray) -> np.ndarray:
    """Stand for any function of an image that sees no further than 8 pixels: it pads with zeros."""
    return conv2d(image, kernel, padding="same")


whole = soft(grey)
apart = blend_tiles((tile, soft(tile.pixels)) for tile in iter_tiles(grey, 96))
# Neighbours share 32 pixels, and 8 at each end within the image are left out.
together = blend_tiles(((tile, soft(tile.pixels)) for tile in iter_tiles(grey, 96, overlap=32)), margin=8)

inside = np.s_[8:-8, 8:-8]
assert np.abs(apart - whole)[inside].max() > 20
assert np.allclose(together[inside], whole[inside])

fig, axes = plt.subplots(2, 2, figsize=(7.5, 5.4), layout="compressed")
panels = {
    "blurred as a whole": whole,
    "tiles side by side": apart,
    "tiles that overlap": together,
    "side by side − whole": apart - whole,
}
for ax, (title, image) in zip(axes.flat, panels.items(), strict=True):
    ax.imshow(image, **({"cmap": "gray"} if image.min() > 0 else {"cmap": "RdBu_r", "vmin": -80, "vmax": 80}))
    ax.set_title(title)
    ax.axis("off")
plt.show()
