"""Where adapters are trained: a process on this machine, or a pod."""
