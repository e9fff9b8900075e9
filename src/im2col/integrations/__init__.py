"""Other libraries: each has a file or folder here, which imports it lazily, and an extra of its name."""
