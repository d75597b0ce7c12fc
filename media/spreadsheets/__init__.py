"""Reads .xlsx and .ods in a child process with limits on memory and time."""
