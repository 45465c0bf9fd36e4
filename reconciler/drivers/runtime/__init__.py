"""Runtime drivers: who really runs the containers of a pod, in the verbs of the Container Runtime Interface (CRI)."""
