"""Application services that are not Prefect tasks.

`services.context` is the composition root. May import clients, media, store and models.
"""
