"""The API's one connection to Temporal."""
