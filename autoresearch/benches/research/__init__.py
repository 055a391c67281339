"""Suite R: agents that search literature with tools, and what bounds their score."""
