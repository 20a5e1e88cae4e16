"""Where the parts of the repository are, for tests in whatever folder."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILDERS = Path(__file__).resolve().parent
CONFIGS, DOCS, SCRIPTS = (ROOT / name for name in ("configs", "docs", "scripts"))
SHARED = ROOT.parent / "shared"
