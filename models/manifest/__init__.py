"""Manifests: files and lists of requests, and the tables that people fill in."""
