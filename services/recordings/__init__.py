"""Recordings on their way to Argil: checked, uploaded, signed, and deleted when they are no longer needed."""
