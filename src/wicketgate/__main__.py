"""``python -m wicketgate``."""

import sys

from wicketgate.cli import main

sys.exit(main())
