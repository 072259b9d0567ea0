"""Session stores of agent frameworks on top of ours: one file each, which imports its framework."""
