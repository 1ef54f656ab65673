"""Small phases that prove the frame: they run through the same server, launcher and gateway as real ones."""
