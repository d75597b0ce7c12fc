"""The baselines: other implementations of the same job, each a program that `python -m benchmarks` runs."""
