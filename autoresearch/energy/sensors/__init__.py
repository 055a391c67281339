"""Sensors of power and energy. Each ``open_x`` returns the sensor or a reason; ``select`` has their order."""
