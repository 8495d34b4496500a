"""Training on several machines: who the workers are, how they meet, and what they exchange."""
