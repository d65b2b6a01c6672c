"""Builds that are broken on purpose, each in one place. They are loaded into a worker before it starts.

`python -m proof.crash_matrix.prefork SOCKET tests.broken_builds.NAME`. The product has no switch for them.
"""
