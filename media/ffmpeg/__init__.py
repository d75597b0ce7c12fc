"""Inspects recordings with FFmpeg, in child processes."""
