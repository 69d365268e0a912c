"""The ILM Norm paper's Table 6, reproduced: its trainings, compared and looked into."""
