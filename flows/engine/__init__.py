"""The state machine and the batch engine that the flows share.

Modules here decide what happens next; the tasks that they call perform the I/O.
They may import tasks, services, clients and models.
Only `state_machine` imports flow modules: the branches `flows.refused` and `flows.training_failed`.
"""
