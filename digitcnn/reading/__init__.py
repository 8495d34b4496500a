"""Pictures to answers: the network, its doubt, and pages of digits."""
