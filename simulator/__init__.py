"""A simulator of the Argil API with faults on demand, and a host of sample videos over HTTPS."""
