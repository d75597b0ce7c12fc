"""The account at Argil against the ledger: unknown, absent, adopted, duplicate and recovered avatars; outages."""
