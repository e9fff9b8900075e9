"""
A systolic array
================

An accelerator has a grid of cells, and each cell multiplies and adds. Here cell (tap, filter) keeps one weight.
Patches, rows of the column matrix, come in from the left, each tap a step later than the one above; sums travel down.
No cell waits for memory, and at the bottom come out the maps.
"""

import matplotlib.pyplot as plt
import numpy as np

from im2col import conv2d, im2col, weight_matrix

rng = np.random.default_rng(0)
image = rng.integers(0, 10, (1, 5, 5))
w = rng.integers(-3, 4, (3, 1, 2, 2))
columns, weights = im2col(image, 2), weight_matrix(w)  # (16 positions, 4 taps) and (4 taps, 3 filters)
positions, taps = columns.shape
filters = weights.shape[1]

# %%
# In each step every cell takes a pixel from its left and a sum from above, adds pixel · weight, and hands both on. The
# pixel of position p reaches tap t, filter f, in step p + t + f.

pixels = np.zeros((taps, filters), int)
sums = np.zeros((taps, filters), int)
busy, maps = [], np.zeros((positions, filters), int)
for step in range(positions + taps + filters - 2):
    arriving = [columns[step - t, t] if 0 <= step - t < positions else 0 for t in range(taps)]
    pixels = np.column_stack([arriving, pixels[:, :-1]])
    sums = np.vstack([np.zeros(filters, int), sums[:-1]]) + pixels * weights
    for f in range(filters):
        done = step - (taps - 1) - f
        if 0 <= done < positions:
            maps[done, f] = sums[-1, f]
    place = step - np.add.outer(np.arange(taps), np.arange(filters))
    busy.append(np.where((place >= 0) & (place < positions), place, -1))

assert (maps.T.reshape(3, 4, 4) == conv2d(image, w)).all()
# Every product is made once, and after the array has filled, all cells are busy.
assert sum((cells >= 0).sum() for cells in busy) == positions * taps * filters
assert all((cells >= 0).all() for cells in busy[taps + filters - 2 : positions])

fig, axes = plt.subplots(2, 4, figsize=(6.5, 4.8), layout="constrained")
for ax, step in zip(axes.flat, (0, 1, 2, 5, 10, 16, 18, 20), strict=True):
    cells = busy[step]
    ax.imshow(np.where(cells >= 0, cells % 8, np.nan), cmap="Set3", vmin=0, vmax=11)
    for (t, f), position in np.ndenumerate(cells):
        if position >= 0:
            ax.text(f, t, position, ha="center", va="center")
    ax.set_title(f"step {step}")
    ax.set(xticks=np.arange(-0.5, filters), yticks=np.arange(-0.5, taps), xticklabels=[], yticklabels=[])
    ax.tick_params(length=0)
    ax.grid(color="grey", linewidth=0.5)
fig.supxlabel("filters")
fig.supylabel("taps")
fig.suptitle("which position each cell works on")
plt.show()
