"""QA: a dataset, or a sample of it, in the FiftyOne App, and what reviewers decided there."""
