"""English narratives as text: sentences, noun phrases, and which of them name something that a photo can show."""
