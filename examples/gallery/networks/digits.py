"""
The filters of a network that reads digits
==========================================

Eight filters of 5×5 pixels, a relu, the greatest of each 2×2, and a matrix product: a small network, trained here from
nothing but random weights. The way back of each layer is a call, too. Under each filter is what it
makes of a digit.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from im2col import conv2d, conv_bias_gradient, conv_weight_gradient, max_pool, max_pool_input_gradient

rng = np.random.default_rng(0)
digits = load_digits()
order = rng.permutation(len(digits.target))
images, labels = (digits.images[order, np.newaxis] / 16).astype(np.float32), digits.target[order]
w, b = rng.normal(0, 0.28, (8, 1, 5, 5)).astype(np.float32), np.zeros(8, np.float32)
dense = rng.normal(0, 0.12, (8 * 4 * 4, 10)).astype(np.float32)


def scores(x: np.ndarray) -> tuple[np.ndarray, ...]:
    maps = conv2d(x, w, b, padding="same", activation="relu")  # (N, 8, 8, 8)
    pooled, winners = max_pool(maps, 2, return_indices=True)  # (N, 8, 4, 4)
    flat = pooled.reshape(len(x), -1)
    return flat @ dense, flat, winners, maps


# %%
# Gradient descent, 32 images at a time. The first 360 images are kept for the test.

for _ in range(12):
    for batch in np.split(360 + rng.permutation(1437)[:1408], 44):
        x, truth = images[batch], np.eye(10, dtype=np.float32)[labels[batch]]
        score, flat, winners, maps = scores(x)
        chance = np.exp(score - score.max(axis=1, keepdims=True))
        grad = (chance / chance.sum(axis=1, keepdims=True) - truth) / len(x)
        grad_maps = max_pool_input_gradient((grad @ dense.T).reshape(winners.shape), winners, maps.shape) * (maps > 0)
        dense -= 0.5 * flat.T @ grad
        w -= 0.5 * conv_weight_gradient(x, grad_maps, 5, padding="same")
        b -= 0.5 * conv_bias_gradient(grad_maps)

right = np.mean(scores(images[:360])[0].argmax(axis=1) == labels[:360])
print(f"{right:.1%} of 360 new digits are told right")
assert right > 0.95

fig, axes = plt.subplots(3, 8, figsize=(7.5, 3.2), layout="compressed")
maps = scores(images[labels == 6][:1])[3][0]
for n, (above, middle, below) in enumerate(axes.T):
    above.imshow(images[np.argmax(labels == n), 0], cmap="gray_r")
    above.set_title(f"a {n}")
    middle.imshow(w[n, 0], cmap="RdBu_r", vmin=-np.abs(w).max(), vmax=np.abs(w).max())
    middle.set_title(f"filter {n + 1}", fontsize=9)
    below.imshow(maps[n], cmap="magma", vmin=0, vmax=maps.max())
    below.set_title("of a 6", fontsize=9)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
plt.show()

# %%
# ``examples/train_digits.py`` in the repository is a larger network, layer by layer.
