"""Networks in ONNX files: read with distrust, tapped, and computed by onnxruntime."""
