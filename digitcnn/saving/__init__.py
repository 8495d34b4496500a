"""Saved models and checkpoints on disk."""
