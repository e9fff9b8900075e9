"""Who pools: one file a contestant."""
