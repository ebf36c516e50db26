"""Sweeps: grids of parameters × seeds, run in one or many processes, stored, and collected into one table."""
