"""Sending requests to endpoints, in a process of its own that outlives the process that asked."""
