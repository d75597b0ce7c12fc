"""The placeholder that replaces personal data in the ledger, in archives and in Prefect."""

ERASED_PLACEHOLDER = "(erased)"
