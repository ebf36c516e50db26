"""One run on disk: its folder, its manifest, the schema of its rows, and the reader of its steps."""

from repunet_model.storage.folder import RunFolder, run_names, understood
from repunet_model.storage.manifest import FORMAT, Manifest
from repunet_model.storage.reader import Step, StepReader
from repunet_model.storage.schema import Row
from repunet_model.storage.writing import to_json

__all__ = ["FORMAT", "Manifest", "Row", "RunFolder", "Step", "StepReader", "run_names", "to_json", "understood"]
