"""Workflows that a schedule starts, or that somebody asks for beside a server's own."""
