"""Objects in S3, Google Cloud Storage and Azure: obstore's stores, signed URLs, and HEAD requests."""
