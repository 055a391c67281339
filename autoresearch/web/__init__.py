"""`autoresearch serve`: the runs below some directories as a live page. It reads files only; extra `serve`."""
