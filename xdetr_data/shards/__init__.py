"""The unit of work: planning, partitioning, writing and reading shards."""
