"""What of the driving pipeline goes to a device: the camera's detector and the motion model, in one file."""
