"""How accurate students of each size are, and where size saturates."""
