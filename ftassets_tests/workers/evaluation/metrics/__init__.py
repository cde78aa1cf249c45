USERS = "ftassets_tests.workers.evaluation.metrics.metrics_of_users"  # a name, not an import: `evaluate` takes seconds to import
