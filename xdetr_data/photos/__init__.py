"""Photos: which one a name means, where its file is, whether it can be trusted, and its pixels."""
