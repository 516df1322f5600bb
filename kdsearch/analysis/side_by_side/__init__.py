"""Several studies on one page."""
