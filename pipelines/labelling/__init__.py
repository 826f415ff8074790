"""What needs a model: phrases grounded, candidates kept, labels chosen."""
