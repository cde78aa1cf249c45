"""What a release attests, who may approve it, and what a version consists of."""
