"""``autoresearch bench search``: proposers on a surrogate of a measured joint space, with a known truth."""
