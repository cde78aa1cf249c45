"""What is written once under a digest: model versions, reports, stored answers."""
