"""Child processes that read the bytes of strangers: their pool, their messages and their limits."""
