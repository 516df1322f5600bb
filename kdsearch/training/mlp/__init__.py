"""Many MLP students in one step, in closed form."""
