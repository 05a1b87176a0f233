"""The benchmark: `make bench` measures advlib against its peers and against the processor."""
