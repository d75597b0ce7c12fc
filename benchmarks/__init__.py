"""Compares this project with the baselines in the same run, on the same machine: `make bench`."""
