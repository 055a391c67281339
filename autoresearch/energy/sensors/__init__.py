"""Sensors of power and energy. Each can be opened, or says in words why not; ``choose`` has their order."""
