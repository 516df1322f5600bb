"""What figures and tables are made of."""
