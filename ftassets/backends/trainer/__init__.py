"""Where adapters are trained: a process on this machine, a pod, or a Ray cluster."""
