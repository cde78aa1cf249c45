"""The evaluation process: answers, likelihoods, metrics, parity."""
