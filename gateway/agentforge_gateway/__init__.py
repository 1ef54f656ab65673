"""The gateway: sequences phases, keeps the record of runs, and speaks HTTP and gRPC to people."""
