"""The receiver of Argil's webhooks.

May import services and the layers below it. Does not import Prefect itself, flows, or the rest of deployments.
"""
