"""Stored questions of a run again, with one thing changed in what they showed, beside the recorded answers."""
