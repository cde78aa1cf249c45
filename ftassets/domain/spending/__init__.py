"""What a loop costs: what was used, at which price, for how many promoted models."""
