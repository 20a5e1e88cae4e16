"""What is said of fits: how long they take, and whether they are the optimum."""

from __future__ import annotations

from fne_cli.numerics.svm.problem import CHOOSING
from fne_cli.progress import Progress
from fne_cli.steps.evaluate.options import FitPlan
from fne_cli.trials.summary import Outcome


def doubt(outcome: Outcome, plan: FitPlan, progress: Progress) -> None:
    """Say of a fit that it is not the optimum, or that others were not by which its C was chosen."""
    gap, kind = outcome.figures.get("duality_gap"), outcome.figures.get("classifier", plan.classifier.kind)
    name = "the SVM" if kind == "svm" else "the logistic regression"
    converged = outcome.figures.get("converged", True)
    if not converged and kind == "ridge":
        progress.note(
            f"rounding left the ridge classifier a relative duality gap of {gap:.1e}; larger penalties lose less"
        )
    elif not converged:
        progress.note(f"{name} stopped before it converged; its relative duality gap is {gap:.1e}")
    gap = outcome.figures.get("choice_of_C", {}).get("duality_gap", 0.0)
    if gap > max(plan.solver.tolerance, CHOOSING):
        progress.note(f"C was chosen by fits of which some stopped before they converged; the largest gap is {gap:.1e}")


def span(seconds: float) -> str:
    """Seconds in words: 3.2 h, 1.5 min, 12 s."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(1, round(seconds))} s"
