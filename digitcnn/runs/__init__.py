"""Run folders: what `digitcnn train` leaves."""
