"""The linear SVM by four paths, each with a certificate; many fits on shared rows."""
