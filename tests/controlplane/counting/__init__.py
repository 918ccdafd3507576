"""A kind of work for tests: it counts, keeps how far it came, and says every number once."""
