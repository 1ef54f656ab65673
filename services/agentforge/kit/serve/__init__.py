"""The gRPC face of a phase: it accepts, reports and cancels runs, and never computes."""
