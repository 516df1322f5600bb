"""Many students of any architecture in one step, by torch.func or passes written out."""
