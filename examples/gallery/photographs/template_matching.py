"""
Where is this patch?
====================

A template is laid over every place of an image. The *normalised correlation* tells how alike they are, from −1 to 1,
and does not care how bright the image is there, or how strong its contrast. Three convolutions compute it everywhere.
"""

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from im2col import conv2d

grey = plt.imread(str(files("im2col") / "data/chelsea.jpg")).mean(axis=-1)
top, left, height, width = 96, 146, 34, 44
template = grey[top : top + height, left : left + width]

# The image in which it is looked for: darker, paler, and with noise.
scene = 60 + 0.4 * grey + np.random.default_rng(0).normal(0, 6, grey.shape)

# %%
# With the mean taken from the template, a constant added to the image changes nothing. The deviation of the image
# under the template comes from sums and sums of squares.

kernel = template - template.mean()
ones = np.ones_like(kernel)
sums, squares = conv2d(scene, ones), conv2d(scene**2, ones)
spread = np.sqrt(np.maximum(squares - sums**2 / kernel.size, 0))
match = conv2d(scene, kernel) / (spread * np.linalg.norm(kernel))

found = np.unravel_index(match.argmax(), match.shape)
assert found == (top, left)
# NumPy's own coefficient, at the best place.
there = scene[top : top + height, left : left + width]
assert np.isclose(match.max(), np.corrcoef(there.ravel(), template.ravel())[0, 1])

fig, axes = plt.subplots(1, 2, figsize=(8, 3), layout="compressed")
axes[0].imshow(scene, cmap="gray")
axes[0].add_patch(Rectangle((left, top), width, height, fill=False, color="orange", linewidth=2))
axes[0].set_title("where the eye was found")
shown = axes[1].imshow(match, cmap="RdBu_r", vmin=-1, vmax=1)
axes[1].set_title("normalised correlation")
fig.colorbar(shown, ax=axes[1], shrink=0.7)
for ax in axes:
    ax.axis("off")
plt.show()
