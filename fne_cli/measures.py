"""How well a classifier does: the key of each measure in results, and what people call it, in the order of tables."""

MEASURES = {
    "mean_per_class_accuracy": "mean per-class accuracy",
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "top_5_accuracy": "top-5 accuracy",
    "mean_average_precision": "mAP",
    "mean_average_precision_11_point": "mAP, 11 points",
}

RANK_MEASURES = {
    "log_me": "LogME",
    "evidence": "evidence",
    "h_score": "H-score",
    "neighbours_accuracy": "neighbours",
}
"""The same of the figures of fne rank, which need no training."""
