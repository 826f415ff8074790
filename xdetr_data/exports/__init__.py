"""What a record becomes in the formats of others, and what of it these cannot hold."""
