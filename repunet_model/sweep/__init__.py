"""Sweeps: a grid of parameters × seeds, run wherever there is room, kept on disk, and gathered into one table."""
