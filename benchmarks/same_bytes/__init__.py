"""Whether two trees of this project write the same bytes and end with the same errors."""
