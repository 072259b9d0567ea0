"""The same conversation in the stores that agent frameworks bring, and in ours."""
