"""What stages versions and moves traffic between them."""
