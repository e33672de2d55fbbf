"""How to check: one file per prober; the frame owns timeout, concurrency, thresholds and metrics."""
