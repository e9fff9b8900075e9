"""What a call costs where there is little to compute, and what the first one of a process costs."""
