"""Domain data and rules: no network or database I/O, no Prefect.

One module reads its surroundings: models/settings.py reads the environment and the .env file.
"""
