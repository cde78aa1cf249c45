"""One file for each metric; the catalogue is `ftassets.domain.evaluation.metrics`."""
