"""Prefect flows: order, branch and deadline; no HTTP, SQL or parsing."""
