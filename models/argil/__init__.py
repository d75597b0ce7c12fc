"""Argil's wire formats, and what its responses mean."""
