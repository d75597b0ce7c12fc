"""The `avatars` command."""
