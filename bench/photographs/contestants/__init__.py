"""One file a contestant."""
