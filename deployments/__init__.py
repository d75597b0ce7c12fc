"""What runs the flows, and how they are triggered."""
