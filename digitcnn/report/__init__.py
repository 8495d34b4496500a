"""Plots and confidence intervals of results."""
