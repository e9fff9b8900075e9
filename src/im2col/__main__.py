"""``python -m im2col``: the command line."""

import sys

from .cli import main

sys.exit(main())
