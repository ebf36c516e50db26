"""The command line: `uv run run.py --help`."""

import sys

from repunet_model.cli import main

if __name__ == "__main__":
    sys.exit(main())
