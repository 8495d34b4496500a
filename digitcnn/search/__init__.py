"""Searches over settings: what is tried, the jobs of it, where they run, and what is left in a folder."""
