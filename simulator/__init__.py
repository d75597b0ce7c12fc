"""A faithful Argil API with faults on demand, and sample videos over HTTPS."""
