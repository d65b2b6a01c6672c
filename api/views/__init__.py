"""The documents of requests and answers. Their names are the schemas' names in the OpenAPI document."""
