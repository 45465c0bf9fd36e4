"""What a node does about its pods: the kubelet's decisions as rules, its bookkeeping, and the status it reports."""
