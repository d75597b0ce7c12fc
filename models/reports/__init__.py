"""How provisionings, batches and accounts are shown: markdown, JSON and CSV."""
