"""Audit the log of anyone's loop: which of its keeps were real, as far as the log alone can say."""
