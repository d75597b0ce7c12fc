"""The only code that opens database sessions."""
