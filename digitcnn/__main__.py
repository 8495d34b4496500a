"""`python -m digitcnn`, the same as the command `digitcnn`."""

import sys

from .cli import main

sys.exit(main())
