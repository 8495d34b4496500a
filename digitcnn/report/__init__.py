"""Measures, plots and an HTML report of results."""
