"""`python -m openresponses` is the command `openresponses`."""

from .cli import main

raise SystemExit(main())
