"""The process on each instance: watches IMDS, and does what only the host itself can do."""

__version__ = "0.1.0"
