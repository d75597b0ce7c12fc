"""Voices: cloned for image requests, found for READY avatars, and named by persons."""
