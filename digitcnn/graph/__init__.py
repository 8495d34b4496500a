"""The graph, from placeholders to the training step; no session."""
