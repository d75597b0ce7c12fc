"""Personal data: whose it is, where it is, and what remains of it after an erasure."""
