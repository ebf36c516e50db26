"""Benchmarks: each prints a ratio that is a promise of this project."""
