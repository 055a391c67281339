"""Trials as jobs of a Slurm cluster: one job for each request, which runs it as a forked child on the job's node."""
