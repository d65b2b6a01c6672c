"""The routes, a module for each resource. Each names its caller in its signature (`api.access.callers`)."""
