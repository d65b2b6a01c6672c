"""Builds that are broken on purpose, each in one place, to be loaded into a worker before it begins.

`python -m proof.crash_matrix.prefork SOCKET tests.broken_builds.NAME`. The product has no switch for them.
"""
