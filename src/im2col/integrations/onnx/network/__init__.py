"""Whole models, run by this library: read, folded, planned, and run node by node."""
