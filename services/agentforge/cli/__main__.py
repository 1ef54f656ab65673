"""`python -m agentforge.cli`, for where the `agentforge` script is not on the path."""

import sys

from agentforge.cli import main

sys.exit(main())
