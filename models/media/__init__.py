"""The rules for the contents of recordings, and the facts and results of their checks."""
