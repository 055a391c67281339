"""The statistics of a bench: pure functions of scores, each with its formula and source. No scipy."""
