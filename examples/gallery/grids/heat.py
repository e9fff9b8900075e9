"""
Heat in a plate
===============

In a short time, a point's temperature moves towards the mean of its neighbours. On a grid that is a *stencil*: a small
kernel that is applied again and again. At an insulated border no heat gets out, which is what ``padding_mode="edge"``
says.
"""

import matplotlib.pyplot as plt
import numpy as np

from im2col import conv2d, plan

rate = 0.2  # more than 0.25, and the steps would not settle
laplacian = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], float)
identity = np.pad([[1.0]], 1)
stencil = identity + rate * laplacian

plate = np.zeros((96, 96))
plate[12:30, 12:84] = 100
plate[60:80, 20:40] = 60

# %%
# A step that is done many times is prepared once: the plan is a function of the image.

step = plan((1, *plate.shape), stencil[np.newaxis, np.newaxis], padding=1, padding_mode="edge")
states, now = {0: plate}, plate[np.newaxis]
for n in range(1, 2001):
    now = step(now)
    states[n] = now[0]

# Heat is conserved, and no point becomes hotter than the hottest was.
assert np.isclose(states[2000].sum(), plate.sum())
assert all(states[n].min() >= 0 and states[n].max() <= states[n - 1].max() for n in (1, 10, 100, 1000))
# A wave along the plate decays by the factor that the theory has.
wave = np.tile(np.cos(np.pi * (np.arange(96) + 0.5) / 96), (96, 1))
factor = 1 - 2 * rate * (1 - np.cos(np.pi / 96))
assert np.allclose(conv2d(wave, stencil, padding=1, padding_mode="edge"), factor * wave)

fig, axes = plt.subplots(1, 4, figsize=(8, 2.4), layout="compressed")
for ax, n in zip(axes, (0, 50, 400, 2000), strict=True):
    shown = ax.imshow(states[n], cmap="inferno", vmin=0, vmax=100)
    ax.set_title(f"step {n}")
    ax.axis("off")
fig.colorbar(shown, ax=axes, shrink=0.8, label="degrees")
plt.show()
