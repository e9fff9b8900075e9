"""The library's operations on tensors of PyTorch: functions with torch's arguments, and modules with torch's state.

What they run is registered with torch as operators of the namespace ``im2col``, which is what lets autograd,
``torch.compile`` and ``torch.export`` see through them. Importing this registers them; it needs the extra ``torch``.
"""

from ...errors import MissingExtraError

try:
    import torch as _torch  # noqa: F401 (what follows needs it)
except ImportError as _cause:
    raise MissingExtraError("this needs torch; install it with pip install 'im2col[torch]'") from _cause

from .column_functions import fold, unfold
from .conv_functions import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from .modules import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    replace_convs,
)
from .pool_functions import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "fold",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "replace_convs",
    "unfold",
]
