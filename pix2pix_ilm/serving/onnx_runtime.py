"""Photos by ONNX Runtime, whose convolutions are faster than PyTorch's on many processors.

It runs ``model.onnx`` in a checkpoint's folder, as ``export_onnx`` writes it with a dynamic size.
"""

from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pix2pix_ilm.checkpoints import WEIGHTS
from pix2pix_ilm.devices import Backend
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.inference import ExportedNetwork

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

INPUT, OUTPUT = "label_map", "photo"
ONNX_MODEL = "model.onnx"
WEIGHTS_HASH, PRECISION = "weights", "precision"
"""Keys of the metadata: the SHA-256 of the exported weights' file, and float32 or float16."""


def load_exported(folder: Path, backend: Backend) -> ExportedNetwork | None:
    """Return a checkpoint's exported network, or None for PyTorch.

    Args:
        folder: the checkpoint's.
        backend: torch: None; onnx: nothing else will do; auto: ONNX Runtime if it is installed and
            the folder has a fitting file.

    Raises:
        UserError: onnx, but it is not installed, or there is no fitting file.
    """
    if backend == "torch" or (backend == "auto" and not (folder / ONNX_MODEL).is_file()):
        return None
    try:
        return open_exported(folder)
    except UserError:
        if backend == "onnx":
            raise
        return None


def open_exported(folder: Path) -> ExportedNetwork:
    """Return a checkpoint's exported network; errors as in ``load_exported``."""
    path = folder / ONNX_MODEL
    if find_spec("onnxruntime") is None:
        raise UserError("onnxruntime is missing; (uv) pip install onnxruntime")
    again = f"write it with: pix2pix-ilm export onnx {folder} --dynamic-size --out {path}"
    if not path.is_file():
        raise UserError(f"{path}: no such file; {again}")
    try:
        session = make_session(path.read_bytes())
    except Exception as error:  # its errors have nothing else in common
        raise UserError(f"{path}: cannot be read ({error}); {again}") from None
    metadata = session.get_modelmeta().custom_metadata_map
    if (found := metadata.get(PRECISION, "no precision")) != "float32":
        raise UserError(f"{path}: expected a network in float32, found {found}; {again}")
    if metadata.get(WEIGHTS_HASH) != hash_weights(folder):
        raise UserError(
            f"{path}: expected the weights of {folder / WEIGHTS}, found others; {again}"
        )
    if any(isinstance(side, int) for side in session.get_inputs()[0].shape[2:]):
        raise UserError(f"{path}: expected a model of any size, found one of a fixed size; {again}")
    return exported_network(session)


def make_session(content: bytes) -> "InferenceSession":
    """Make an ONNX model ready to run on the CPU, with as many threads as PyTorch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Threads that wait for the next photo would take their cores from others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(content, options, providers=providers)


def exported_network(session: "InferenceSession") -> ExportedNetwork:
    """Return a function from label maps to photos by an ONNX model."""
    return lambda label_map: torch.from_numpy(session.run([OUTPUT], {INPUT: label_map.numpy()})[0])


def hash_weights(folder: Path) -> str:
    """Return the SHA-256 of a checkpoint's weights."""
    return sha256((folder / WEIGHTS).read_bytes()).hexdigest()
