"""Remote recordings: the SSRF guard, reading files by ranges, and the check against Argil's media rules.

Imports models/ only; never clients/, store/, the layers above them, or Prefect.
"""
