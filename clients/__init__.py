"""The only code that speaks HTTP: Argil's API, and the hosts that hold the recordings."""
