"""What several assets need: files of the dataset store, stored reports, events of earlier runs."""
