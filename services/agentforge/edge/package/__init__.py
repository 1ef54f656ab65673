"""One file for a device: what is in it, its manifest, its signature, and the proof that it is what it says."""
