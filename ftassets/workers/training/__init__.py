"""The training process: from dataset files to a finished version folder."""
