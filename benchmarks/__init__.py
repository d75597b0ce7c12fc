"""Measures this project against its peers, in the same run, on the same machine: `make bench`."""
