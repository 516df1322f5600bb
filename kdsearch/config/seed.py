"""Every seed of a study derives from its one seed by hashing names, never by adding numbers."""

import hashlib
import json

from kdsearch.config.base import Scalar


def derive_seed(*parts: Scalar) -> int:
    """A seed in 0..2**63-1 that is a function of `parts` alone, the same on every machine."""
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
