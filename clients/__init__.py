"""The Argil API: client, error mapping, rate limiter, training monitor and pollers, webhook registration."""
