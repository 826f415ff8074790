"""Training: from shards to a checkpoint that ``xdetr-data pseudo-label --ckpt`` takes. See docs/training.md."""
