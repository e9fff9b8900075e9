"""The contestants of narrow numbers: one file each; a new file is a new contestant."""
