"""Domain data and rules: no network or database I/O, no Prefect.

The modules of this folder are the core: requests, provisionings, outcomes, limits, settings, errors and tables.
Each subfolder has one subject, which its `__init__.py` names. Exception: models/settings.py and models/environment
read the environment and files of this machine.
"""
