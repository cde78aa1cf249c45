"""What a training job is, and which rows it gets."""
