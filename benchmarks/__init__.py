"""Programs that measure speed, size and memory: `python -m benchmarks.NAME`, in the checkout."""
