"""The processes that `avatars up` runs: a Prefect server, a runner and the processes of its flow runs.

May import deployments.catalog, deployments.webhooks and every lower layer. The parent process uses stack,
prefect_server and child_process only; these do not import Prefect, which keeps that process small.
"""
