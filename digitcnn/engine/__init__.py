"""The session: what is fed and fetched, and in which precision."""
