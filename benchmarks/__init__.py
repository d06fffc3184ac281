"""What is measured, each by one command: `python -m benchmarks` prints all of it."""
