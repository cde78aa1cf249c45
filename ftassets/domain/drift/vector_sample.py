"""Which queries have a vector where not all of them can have one: a uniform sample by the request's id.

Each request tosses one coin, its hash. A smaller share keeps a part of what a larger one kept, so the sample is as uniform over old
requests as over new ones whenever the share was lowered, and the same request has a vector or none on every machine.
"""

import hashlib

ROOM = 0.75  # of the most vectors, what a lowered share leaves: it must not be lowered again with each request


def drawn(request_id: str, share: float) -> bool:
    """Whether a sample of this share of all requests has the one with this id."""
    digest = hashlib.blake2b(b"vector\0" + request_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64


def share_for(share: float, points: int, most: int) -> float:
    """The share of requests that have a vector from now on: lower if `points` drawn at `share` are more than `most`."""
    return share if points <= most else share * ROOM * most / points


def in_words(share: float) -> str:
    """For people: what a drift report sees of the traffic."""
    return f"{share:.1%} of requests have a vector, a uniform sample by their ids"
