"""The machine and its configuration: environment variables, files, certificates and addresses."""
