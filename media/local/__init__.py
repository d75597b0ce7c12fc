"""Recordings on this machine: opened as regular files, checked as remote ones are, and digested."""
