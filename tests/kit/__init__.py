"""What the test files share: oracles and strategies, layers as data, guarded memory, processes of their own."""
