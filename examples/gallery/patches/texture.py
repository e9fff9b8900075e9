"""
Patches of a texture
====================

The rows of a column matrix are patches, and a patch is a point in a space of as many dimensions as it has pixels.
Distances in that space tell which parts of a texture are alike. Here twelve patches of the fur are picked, each as
far as it can be from all before it.
"""

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np

from im2col import im2col

fur = plt.imread(str(files("im2col") / "data/chelsea.jpg"))[:96, 150:294]
size, count = 16, 12

# %%
# Windows of 16×16 that move on by 16 lie side by side. With ``tap_order="channel-last"`` a row is a small photograph.

columns = im2col(fur, size, stride=size, layout="HWC", tap_order="channel-last").astype(float)
places_across = fur.shape[1] // size
chosen = [int(np.abs(columns - columns.mean(axis=0)).sum(axis=1).argmin())]
distance = np.full(len(columns), np.inf)
while len(chosen) < count:
    distance = np.minimum(distance, np.linalg.norm(columns - columns[chosen[-1]], axis=1))
    chosen.append(int(distance.argmax()))

assert len(set(chosen)) == count
# A row is what stands in the photograph at its place.
top, left = (size * n for n in divmod(chosen[3], places_across))
assert (columns[chosen[3]].reshape(size, size, 3) == fur[top : top + size, left : left + size]).all()

fig = plt.figure(figsize=(7.5, 4), layout="constrained")
whole, small = fig.subfigures(1, 2, width_ratios=(3, 2))
ax = whole.subplots()
ax.imshow(fur)
for n, index in enumerate(chosen):
    top, left = (size * k for k in divmod(index, places_across))
    ax.add_patch(plt.Rectangle((left - 0.5, top - 0.5), size, size, fill=False, color="white", linewidth=1.5))
    ax.text(left + size / 2, top + size / 2, n + 1, color="white", ha="center", va="center", weight="bold")
ax.set_title("fur, and twelve places")
ax.axis("off")
for n, (each, index) in enumerate(zip(small.subplots(4, 3).flat, chosen, strict=True)):
    each.imshow(columns[index].reshape(size, size, 3).astype(np.uint8))
    each.set_title(n + 1, fontsize=9)
    each.axis("off")
plt.show()
