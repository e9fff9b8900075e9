"""
Spots and stripes
=================

Two substances spread over a plate, each at its own pace, and one turns the other into itself. From these few rules,
after Gray and Scott, come patterns like those of a coat. The spreading of both is one convolution with two groups: each
channel has a kernel of its own.
"""

import matplotlib.pyplot as plt
import numpy as np

from im2col import plan

size = 96
stencil = np.array([[1, 4, 1], [4, -20, 4], [1, 4, 1]], np.float32) / 20
pace = np.array((0.8, 0.4), np.float32)
w = (pace[:, np.newaxis, np.newaxis] * stencil)[:, np.newaxis]  # (2 filters, 1 channel of a group, 3, 3)
spread = plan((2, size, size), w, groups=2, padding=1, padding_mode="wrap", x_dtype=np.float32)

# What spreads is neither made nor lost.
anything = np.random.default_rng(0).random((2, size, size), np.float32)
assert abs(spread(anything).sum()) < 0.01


# %%
# ``feed`` is how fast the first substance is renewed, ``kill`` how fast the second decays. They decide the pattern.


def grown(feed: float, kill: float, steps: int = 5000) -> np.ndarray:
    rng = np.random.default_rng(2)
    both = np.stack([np.ones((size, size)), np.zeros((size, size))]).astype(np.float32)
    for y, x in rng.integers(0, size - 6, (14, 2)):
        both[:, y : y + 6, x : x + 6] = np.array([[[0.5]], [[0.25]]])
    for _ in range(steps):
        u, v = both
        reaction = u * v * v
        both = both + spread(both) + np.stack([feed * (1 - u) - reaction, reaction - (feed + kill) * v])
    return both


kinds = {"spots": (0.030, 0.062), "stripes": (0.040, 0.060), "holes": (0.039, 0.058)}
plates = {name: grown(*rates)[1] for name, rates in kinds.items()}
assert all(plate.std() > 0.05 for plate in plates.values())  # none has died out or come to rest

fig, axes = plt.subplots(1, 3, figsize=(7.5, 3), layout="compressed")
for ax, (name, plate) in zip(axes, plates.items(), strict=True):
    ax.imshow(plate, cmap="YlOrBr")
    ax.set_title(f"{name}\nfeed {kinds[name][0]:.3f}, kill {kinds[name][1]:.3f}")
    ax.axis("off")
plt.show()
