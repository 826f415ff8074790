"""The report: what is in a dataset, or in up to three side by side, as one page that needs no network."""
