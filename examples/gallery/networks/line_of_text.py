"""
A line of text, read by a network
=================================

Letters differ in width, so nobody knows where to cut a line. A network of convolutions cuts nothing: it takes a line of
any length, and says of each column which letter has its middle there, if any. It learns from lines printed here.
"""

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from im2col import conv2d, conv_input_gradient, conv_weight_gradient

SIGNS = [*"-ABCDEFGHIJKLMNOPQRSTUVWXYZ "]  # the first stands for none
font, rng = ImageFont.load_default(18), np.random.default_rng(0)  # the font is Pillow's own


def printed(text: str, width: int) -> tuple[np.ndarray, np.ndarray]:
    page, truth, x = Image.new("L", (width, 24), 255), np.zeros(width, int), 8
    for letter in text:
        ImageDraw.Draw(page).text((x, int(rng.integers(11, 14))), letter, fill=0, font=font, anchor="lm")
        size = round(font.getlength(letter))
        truth[x + size // 2 - 1 : x + size // 2 + 2] = SIGNS.index(letter)
        x += size + 2
    noise = 0.12 * rng.standard_normal((1, 1, 24, width), np.float32)
    return np.asarray(page) / np.float32(255) + noise, np.eye(28, dtype=np.float32)[None, :, None, truth]


def chances(x: np.ndarray) -> tuple[np.ndarray, ...]:
    maps = conv2d(x, w[0], stride=(2, 1), padding=2, activation="relu")  # (1, 8, 12, width)
    strip = conv2d(maps, w[1], padding=(0, 8), dilation=(1, 2), activation="relu")  # (1, 32, 1, width)
    score = np.exp(conv2d(strip, w[2]))  # (1, 28, 1, width)
    return score / score.sum(axis=1, keepdims=True), strip, maps


# %%
# Three layers learn from 1000 lines of random letters. Steps are divided by how large the slopes have been.

shapes = (8, 1, 5, 5), (32, 8, 12, 9), (28, 32, 1, 1)
w = [rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32) for shape in shapes]
squares = [np.full(shape, 1e-4) for shape in shapes]
for step in range(1000):
    x, truth = printed("".join(rng.choice(SIGNS[1:], 40)).strip(), 720)
    chance, strip, maps = chances(x)
    grad = (chance - truth) / 40
    grad_strip = conv_input_gradient(grad, w[2], strip.shape) * (strip > 0)
    grad_maps = conv_input_gradient(grad_strip, w[1], maps.shape, padding=(0, 8), dilation=(1, 2)) * (maps > 0)
    slopes = [conv_weight_gradient(maps, grad_strip, (12, 9), padding=(0, 8), dilation=(1, 2))]
    slopes = [conv_weight_gradient(x, grad_maps, 5, stride=(2, 1), padding=2), *slopes]
    for n, slope in enumerate([*slopes, conv_weight_gradient(strip, grad, 1)]):
        squares[n] = 0.95 * squares[n] + 0.05 * slope**2
        w[n] -= 0.006 * min(1, 2 - step / 500) * slope / np.sqrt(squares[n])

right = 0  # a letter begins where none becomes unlikely: its columns, up to the next letter, add their chances
for text in ["".join(rng.choice(SIGNS[1:], 20)).strip() for _ in range(100)] + ["A NETWORK READS A LINE"]:
    x = printed(text, 360)[0]
    chance = chances(x)[0][0, :, 0]
    starts = np.flatnonzero(np.diff(chance[0] < 0.5, prepend=False) & (chance[0] < 0.5))
    told = "".join(SIGNS[1 + n] for n in np.add.reduceat(chance[1:], starts, axis=1).argmax(axis=0))
    right += told == text
print(f"{told!r} is read, and {right} of 101 lines without a fault")
assert right > 80

fig, axes = plt.subplots(2, 1, figsize=(7.5, 6), layout="constrained", height_ratios=(1, 6), sharex=True)
axes[0].imshow(x[0, 0], cmap="gray", aspect="auto")
axes[0].set(title="a noisy line", yticks=[], xticks=[])
axes[1].imshow(chance[1:], cmap="magma", aspect="auto")
axes[1].set(title=f"each letter's chance by column: {told}", yticks=range(27), yticklabels=[*SIGNS[1:27], "space"])
plt.show()
