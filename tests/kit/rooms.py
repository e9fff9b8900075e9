"""The rooms of the house."""

ORDER = (
    "errors",
    "memory",
    "importing",
    "files",
    "version",
    "summary",
    "spec",
    "engine",
    "matrix",
    "algorithms",
    "layers",
    "blocks",
    "configuration",
    "pictures",
    "photo",
    "matrix_file",
    "vectors",
    "integrations",
    "demo",
    "cli",
)
"""The house from the ground up: a module imports what stands in its own room or before it."""
