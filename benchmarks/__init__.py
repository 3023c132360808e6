"""Programs that measure speed, size and memory. Run them as `python benchmarks/NAME.py --help`."""
