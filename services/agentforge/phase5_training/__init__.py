"""Phase 5, Forge training: the long training, of parts that are switched on and off one by one."""
