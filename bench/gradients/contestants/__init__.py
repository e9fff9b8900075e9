"""The contestants of the adjoints: one file each; a new file is a new contestant."""
