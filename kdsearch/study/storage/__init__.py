"""What a study has on disk: Optuna's storage as the ledger, locks, folders."""
