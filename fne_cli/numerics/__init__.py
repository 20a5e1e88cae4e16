"""Arrays in, arrays out: moments, ternary codes, SVM, metrics. The only room that touches scikit-learn."""
