"""Reads the facts about a recording from its index and from FFmpeg."""
