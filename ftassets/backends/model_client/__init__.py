"""Clients of model endpoints: chat requests, response times, answers of a whole row set."""
