"""The column matrix and the way back."""
