"""The suites of agent frameworks, run against our adapters."""
