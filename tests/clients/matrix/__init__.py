"""Real clients × provider families × scenarios: `make test-clients`."""
