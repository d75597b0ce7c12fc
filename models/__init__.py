"""Data and decisions about data: no I/O, no Prefect."""
