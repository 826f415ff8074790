"""One module for each public format: adds a photo to the files of that format, and its truth."""
