"""The prompt of an LLM proposer, the schema of its answer, and the conversation of one iteration."""
