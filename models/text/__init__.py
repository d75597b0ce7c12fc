"""Text from outside: its normal form, its escapes, and the secrets in it."""
