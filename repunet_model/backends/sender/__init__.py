"""Requests to endpoints, sent by a separate process that outlives the asking process."""
