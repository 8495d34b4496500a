"""`python -m digitcnn`, the same as the command `digitcnn`."""

import sys

from .cli.main import main

sys.exit(main())
