"""A research loop over a GPT training configuration, for one machine, overnight, with verdicts that can be trusted."""

__version__ = "0.1.0"
