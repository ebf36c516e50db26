"""Fitness card of a model: a battery of a game's own questions with known answers, and what the replies show."""
