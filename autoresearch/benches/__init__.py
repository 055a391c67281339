"""Benches: cases, attempts and grades in one durable journal per bench run; four suites share one engine."""
