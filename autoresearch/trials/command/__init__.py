"""Trainer ``command``: a trial is one run of the user's own training script. No module of this room imports torch."""
