"""``autoresearch bench fleet``: the parallel loop with up to 1,024 simulated workers, in virtual time."""
