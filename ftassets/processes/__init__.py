"""The processes of `ftassets up`: what the supervisor runs on one machine."""
