"""Talking to an OpenAI-compatible server: one call with a deadline, how it ended, and when not to ask at all."""
