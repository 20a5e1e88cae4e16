"""Rows laid out in the plane, to be looked at: along their main axes, or so that neighbours stay neighbours."""
