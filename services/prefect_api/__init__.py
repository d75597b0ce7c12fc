"""What the service writes to Prefect and finds there: artifacts, events, blocks; and the patches of Prefect."""
