"""Suite P: proposers on a table of measured configurations, in virtual time."""
