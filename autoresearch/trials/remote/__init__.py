"""Trials on the nodes of a cluster: an actor for each device, and the executor that hands trials to them."""
