"""Client of an OpenAI-compatible server: one call with a deadline, retries, its classification, a circuit breaker."""
