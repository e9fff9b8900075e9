"""The benchmarks: ``python -m bench CONTEST``, one table and one CSV file each.

A contest is a package here: its layers are data, and each contestant is one file that `contestants.discover` finds by
itself. Results are checked before times are shown.
"""
