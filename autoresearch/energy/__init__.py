"""The energy of a run: samples of a sensor, integrated to joules, with the share of the time that they cover.

Imports no torch and starts no thread.
"""
