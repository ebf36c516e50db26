"""Backends: the protocol of answers, its implementations, and the wrappers around costly ones."""
