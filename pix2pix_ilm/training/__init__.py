"""From batches to weights: the recipe, the step, the loop and the run's folder."""
