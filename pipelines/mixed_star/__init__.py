"""The recipe of build-mixed-star: plan, partition, shards."""
