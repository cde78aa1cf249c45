"""Local servers in the place of services a test cannot reach."""
