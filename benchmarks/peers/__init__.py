"""The same steps as others would write them: create, watch, tell the end. Each is a program of its own."""
