"""How answers are scored and compared: metrics, sets of rows, LLM judges, human review, parity."""
