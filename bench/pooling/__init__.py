"""The contest of pooling."""
