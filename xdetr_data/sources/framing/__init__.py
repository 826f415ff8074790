"""How huge files are cut into chunks of whole elements."""
