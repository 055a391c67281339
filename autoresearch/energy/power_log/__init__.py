"""Reads a CSV of power over time: what its cells mean is derived from the whole file, or refused with the cell."""
