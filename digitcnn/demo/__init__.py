"""The page to draw on: `digitcnn demo`."""
