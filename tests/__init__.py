"""The tests: one file a module; `strategies` draws their cases and `oracles` judges them."""
