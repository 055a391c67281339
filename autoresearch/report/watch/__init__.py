"""`autoresearch watch`: a night in a terminal. Only reads files: whatever happens to it, the run never knows."""
