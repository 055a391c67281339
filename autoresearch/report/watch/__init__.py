"""`autoresearch watch`: a run in a terminal. It only reads files and cannot affect the run."""
