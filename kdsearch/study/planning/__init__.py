"""What a run will take: plans, costs, time left."""
