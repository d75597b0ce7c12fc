"""Application services that are not Prefect tasks.

`services.context` is the composition root. The modules of this folder advance provisionings: they admit, submit,
lease, re-open and reconcile them. Each subfolder has one subject, which its `__init__.py` names. Services may
import clients, media, store and models.
"""
