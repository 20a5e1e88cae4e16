"""The linear SVM by three paths, each with a certificate; many fits on shared rows."""
