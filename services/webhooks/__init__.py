"""Webhook deliveries: early polls for the avatars that they name."""
