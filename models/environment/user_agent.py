"""The User-Agent header of every HTTP request that the service sends."""

USER_AGENT = "avatar-provisioner"
