"""Where the tests, and the examples in docstrings, keep their compiled kernels."""

import atexit
import os
import shutil
import tempfile

import pytest

# Kernels are compiled once for all test processes, and the user's own cache is left alone.
if "IM2COL_CACHE_DIR" not in os.environ:
    os.environ["IM2COL_CACHE_DIR"] = tempfile.mkdtemp(prefix="im2col-tests-")
    atexit.register(shutil.rmtree, os.environ["IM2COL_CACHE_DIR"], ignore_errors=True)

# Asserts of what test files share tell as much as those of the tests themselves.
pytest.register_assert_rewrite("tests.kit")
