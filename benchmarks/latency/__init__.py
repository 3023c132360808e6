"""Models side by side: size, memory, latency and throughput."""
