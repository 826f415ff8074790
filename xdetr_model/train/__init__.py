"""What turns a network and batches into a trained network: one step, its rates, its averages."""
