"""What people see when they open MLflow: links, saved views, texts."""
