"""Servers, instances, agents and operations; the fleet page and a server's timeline."""
