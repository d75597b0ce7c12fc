"""Domain data and rules: no network or database I/O, no Prefect.

Exception: models/settings.py reads the environment and the .env file.
"""
