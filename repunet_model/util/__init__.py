"""Helpers that know nothing of the model: files, text, the screen, the event loop, causality of calls, exact means."""
