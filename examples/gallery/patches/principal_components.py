"""
What patches are made of
========================

The patches of a photograph are not all possible patches: neighbouring pixels are alike. The principal components of
the column matrix are the patterns that its rows are sums of, the commonest first. Nobody told them of edges, yet they
look like flat areas, edges and bars.
"""

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np

from im2col import conv2d, im2col

grey = plt.imread(str(files("im2col") / "data/chelsea.jpg")).mean(axis=-1)
size, shown = 8, 16

# %%
# The components are the eigenvectors of the rows' covariance: a matrix of 64×64, whatever the size of the photograph.

columns = im2col(grey, size)  # (130092 positions, 64 taps)
covariance = np.cov(columns, rowvar=False)
variances, components = np.linalg.eigh(covariance)
variances, components = variances[::-1], components[:, ::-1]  # the greatest first
share = np.cumsum(variances) / variances.sum()
assert share[7] > 0.95  # eight of 64 numbers hold nearly all of a patch

# %%
# A component is a kernel, too: its convolution gives, at every place, how much of it there is. Its variance there is
# the eigenvalue.

second = conv2d(grey, components[:, 1].reshape(size, size))
assert np.isclose(second.var(), variances[1], rtol=1e-3)

fig = plt.figure(figsize=(7.5, 3.9), layout="constrained")
left, right = fig.subfigures(1, 2)
for n, ax in enumerate(left.subplots(4, 4).flat):
    ax.imshow(components[:, n].reshape(size, size), cmap="RdBu_r", vmin=-0.3, vmax=0.3)
    ax.axis("off")
left.suptitle("the first 16 components")
ax = right.subplots()
ax.plot(np.arange(1, 65), 100 * share, marker=".")
ax.set(xlabel="components", ylabel="variance, %", ylim=(80, 101), title="what they hold")
ax.grid(alpha=0.4)
plt.show()
