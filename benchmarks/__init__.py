"""Measurements of speed and noise; results with machine and date go to RESULTS.md. Never part of the tests."""
