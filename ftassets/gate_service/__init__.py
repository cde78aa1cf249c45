"""The promotion gates over HTTP, for pipelines that do not run in Dagster: advice that signs nothing and moves no traffic."""
