"""Scores as one surface over settings, strata and arms: what a search has learned so far."""
