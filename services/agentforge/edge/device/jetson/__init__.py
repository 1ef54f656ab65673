"""What goes to the top of a package for Jetson: build_engine.sh, and the unit for systemd."""
