"""What runs model servers for the gateway: programs of the supervisor, and endpoints elsewhere."""
