"""``python -m autoresearch``."""

import sys

from autoresearch.cli import main

if __name__ == "__main__":
    sys.exit(main())
