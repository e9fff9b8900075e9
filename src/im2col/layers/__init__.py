"""The public operations: convolutions and their family, each a plan that is made once and run."""
