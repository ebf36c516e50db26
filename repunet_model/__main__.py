"""The command line: `python -m repunet_model --help`."""

import sys

from repunet_model.cli import main

if __name__ == "__main__":
    sys.exit(main())
