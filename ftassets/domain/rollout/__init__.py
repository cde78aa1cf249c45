"""How traffic moves to a new version: canary steps, the endpoint's state, what a rollout can show."""
