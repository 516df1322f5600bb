"""From YAML to frozen models, with every mistake at its line."""
