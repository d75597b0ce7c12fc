"""The receiver of Argil's webhooks, which runs in a process of its own.

May import services and the layers below it. Does not import Prefect itself, flows, or the rest of deployments.
"""
