"""What maintainers run: demo, test, benchmarks."""
