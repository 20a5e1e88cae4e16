"""Signed roots of z-scores; layers at equal energy, the late ones before the early ones.

Neither large values, nor wide layers, nor the many early ones outweigh the others. More depth wins more with few images
of objects, and loses where the early layers know most; docs/decisions.md has what was measured.
"""

from __future__ import annotations

from fne_cli.numerics.embedding.pieces import composed

EMBEDDING = composed("z,root,equal,depth:1", title="signed roots of z, layers at equal energy and by depth")
