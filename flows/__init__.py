"""One module per Prefect flow, named as in the Prefect UI; `flows.engine` holds what they share.

A flow decides, a task acts: flows contain no HTTP, SQL or parsing and are safe to run again from the top.
They may import tasks, services and models, but not deployments, cli or simulator.

Prefect puts this folder first on `sys.path` when it runs a flow.
No module here may therefore have the name of a standard or third-party module.
"""

from services.prefect_api.prefect_patches import install_hooks

# This import is the entry point of a run in a Prefect worker. Prefect validates the parameters and reports invalid
# values before it calls the flow, so a call within the flow would be too late.
install_hooks()
