"""Who suggests the next change. Each answers with raw text, and the rails judge all of them alike."""
