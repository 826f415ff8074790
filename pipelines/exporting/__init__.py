"""A finished dataset in the formats of others."""
