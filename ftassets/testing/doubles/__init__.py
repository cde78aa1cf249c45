"""Stand-ins for servers: real servers on loopback, or backends that pass the contract of their capability."""
