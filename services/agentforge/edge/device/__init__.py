"""Files of the package: they run on the device, under Python 3.8, and import nothing of agentforge."""
