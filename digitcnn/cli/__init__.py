"""The command line `digitcnn`."""
