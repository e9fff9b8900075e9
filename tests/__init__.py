"""The tests: one file a module; `kit` draws their cases, judges them, and holds what several files share."""
