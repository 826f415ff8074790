"""Data only: what is known of the public datasets (``sources``) and complete training runs (``runs``)."""
