"""What camera, radar and lidar say of one instant, combined into detections with calibrated confidence."""
