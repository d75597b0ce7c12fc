"""One Prefect task per module, named after the module; arguments and results are plain values.

May import services, clients, media, store and models.
"""
