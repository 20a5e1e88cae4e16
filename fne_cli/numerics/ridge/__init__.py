"""The ridge classifier: its penalty is chosen by leave-one-out predictions, all from one eigendecomposition."""
