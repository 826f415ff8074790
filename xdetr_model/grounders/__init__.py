"""What returns scored boxes for the phrases of a photo, from any checkpoint."""
