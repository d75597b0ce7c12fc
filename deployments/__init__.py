"""How the flows are deployed: the catalog, registration, automations, the embedded stack and the webhook receiver.

May import flows and every layer below it; only cli imports this package. Its modules have no import side effects.
"""
