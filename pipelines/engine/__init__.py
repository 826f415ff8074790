"""Plan, partition, shards, manifest: how any recipe becomes a dataset. It knows no format and no recipe."""
