"""Labels are chosen among the boxes that a grounder gives for a phrase."""
