"""The contest of overlap-add: `col2im` of long and thin images against loops over taps and over frames, and torch."""
