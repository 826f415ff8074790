"""From shards to batches on the device, in an order that is known before anything is read."""
