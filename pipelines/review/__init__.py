"""Review: what people decided in the App becomes a file, and the file a new version of the dataset."""
