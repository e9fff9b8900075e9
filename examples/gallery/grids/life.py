"""
The game of life
================

A cell lives on with two or three living neighbours, and is born with three. Counting neighbours is a convolution with
eight ones around a zero. With ``padding_mode="wrap"`` the board is a torus: what leaves it on one side comes back on
the other.
"""

import matplotlib.pyplot as plt
import numpy as np

from im2col import conv2d

neighbours = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)


def step(board: np.ndarray) -> np.ndarray:
    count = conv2d(board, neighbours, padding=1, padding_mode="wrap")
    return np.array((count == 3) | ((board == 1) & (count == 2)), np.uint8)


# %%
# A glider is the same after four steps, one cell further down and one further right. A block stays as it is.

glider = np.zeros((12, 12), np.uint8)
glider[3:6, 3:6] = [[0, 1, 0], [0, 0, 1], [1, 1, 1]]
board, boards = glider, [glider]
for _ in range(4 * 12):
    board = step(board)
    boards.append(board)
assert (boards[4] == np.roll(glider, (1, 1), axis=(0, 1))).all()
assert (boards[48] == glider).all()  # once around the torus
block = np.pad(np.ones((2, 2), np.uint8), 2)
assert (step(block) == block).all()

# %%
# Above, the glider. Below, a board that began at random.

life = (np.random.default_rng(1).random((96, 96)) < 0.3).astype(np.uint8)
random_boards = {0: life}
for n in range(1, 101):
    life = step(life)
    random_boards[n] = life

fig, axes = plt.subplots(2, 4, figsize=(7.5, 4.2), layout="compressed")
shown = [(n, boards[n]) for n in (0, 1, 2, 4)] + [(n, random_boards[n]) for n in (0, 1, 10, 100)]
for ax, (n, each) in zip(axes.flat, shown, strict=True):
    ax.imshow(each, cmap="Blues", vmin=0, vmax=1.2)
    ax.set_title(f"step {n}")
    ax.set(xticks=[], yticks=[])
plt.show()
