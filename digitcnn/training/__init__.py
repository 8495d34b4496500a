"""Training: options, trainer, loop, signals."""
