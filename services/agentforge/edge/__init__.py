"""Models outside of torch: as ONNX graphs with explicit state, checked, quantised and packed for a device."""
