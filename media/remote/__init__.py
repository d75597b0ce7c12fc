"""Reads files over HTTPS: the SSRF guard, byte ranges in every form that hosts give them, and errors of stores."""
