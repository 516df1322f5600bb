"""Pure numbers: estimates, intervals and fits. Knows no study, record or figure."""
