"""One turn: context, sampling, assembling, persisting. Provider-neutral and transport-neutral."""
