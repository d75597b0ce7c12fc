"""Where recordings are: their addresses, the identity behind each form of one, and the signatures of URLs."""
