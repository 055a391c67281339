"""What a run's joules are: samples from a sensor, added up, with what they cover. Needs no torch and no thread."""
