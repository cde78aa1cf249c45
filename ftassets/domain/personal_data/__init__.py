"""Personal data and secrets in texts, of any script: where they are, and the texts without them.

What has no fixed form (names, addresses, numbers spelled out) is not found: a scrubbed set holds less personal data, not none.
"""
