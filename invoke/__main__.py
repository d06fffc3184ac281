"""`python -m invoke` is `invoke`."""

import sys

from invoke.entry import main

if __name__ == "__main__":
    sys.exit(main())
