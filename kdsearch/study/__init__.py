"""The coordinator: asks, groups, dispatches, prunes, tells, resumes."""
