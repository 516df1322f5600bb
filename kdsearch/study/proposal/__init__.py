"""What is tried next: lanes, samplers, warm starts, rungs. Optuna's samplers live here."""
