"""From weights to numbers: metrics, scores and reports."""
