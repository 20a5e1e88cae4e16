"""z-scores, their roots, and layers that count alike: neither large values nor wide layers outweigh the others."""

from __future__ import annotations

from fne_cli.numerics.embedding.pieces import composed

EMBEDDING = composed("z,root,equal", title="signed roots of z, layers at equal energy")
