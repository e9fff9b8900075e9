"""When each algorithm pays: their speeds, by the size of the kernel."""
