"""The contestants of the transforms: one file each; a new file is a new contestant."""
