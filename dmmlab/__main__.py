"""`python -m dmmlab` is the command `dmmlab`."""

import sys

from dmmlab.lab.cli import main

if __name__ == "__main__":
    sys.exit(main())
