"""The training on preferences: the asset, and measuring what it brought."""
