"""The recipe of build captions: plan, partition, shards."""
