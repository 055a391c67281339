"""Proposers suggest the next change. Each returns raw text, and the rails judge all of them alike."""
