"""How the search went: which settings were tried, and which of them mattered."""
