"""Reads images: their structure with our own readers, their pixels with Pillow, both in child processes."""
