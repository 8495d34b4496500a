"""A trained model for other runtimes: SavedModel, TFLite, ONNX. Written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from .._quiet import quiet
from .._validation import check_path
from ..data.batches import batch_generator
from ..saving.record import reason_of
from .inference_graph import InferenceGraph

v1 = tf.compat.v1


FORMATS = ("savedmodel", "tflite", "tflite-int8", "onnx")


SIGNATURE = "serving_default"


SCALED_SIGNATURE = "scaled"


OPSET = 17  # of 2022: ONNX Runtime since 1.12, in browsers too


_CALIBRATION_BATCH = 100


def check_target(path: str | os.PathLike, format: str, representative: Any) -> Path:
    """Where to write, after checking all that can be known before the work.

    Raises ValueError for a format that there is not, or a `representative` set that it does not take or lacks;
    FileExistsError if there is something at `path`, NotADirectoryError if that is not in a folder; ImportError
    if what the format needs is not installed.
    """
    target = check_path("path", path)
    if format not in FORMATS:
        raise ValueError(f"format: expected one of {', '.join(FORMATS)}, found {format!r}")
    if format == "tflite-int8" and representative is None:
        raise ValueError("representative: expected some hundred training images for 'tflite-int8', found none")
    if format != "tflite-int8" and representative is not None:
        raise ValueError(f"representative: expected images for 'tflite-int8' only, found some for {format!r}")
    for suffix, kinds in ((".tflite", ("tflite", "tflite-int8")), (".onnx", ("onnx",))):
        if target.suffix == suffix and format not in kinds:
            raise ValueError(f"format: expected {' or '.join(map(repr, kinds))} for {target.name}, found {format!r}")
    _check_free(target)
    above = next(folder for folder in target.absolute().parents if os.path.lexists(folder))
    if not above.is_dir():
        raise NotADirectoryError(f"{target}: expected a folder to write into, found a file: {above}")
    if format == "onnx":
        _tf2onnx()
    if format.startswith("tflite") and not hasattr(tf.lite, "TFLiteConverter"):
        raise ImportError(f"expected a TensorFlow with a TFLite converter, as 2.16 to 2.21 are, found {tf.__version__}")
    return target


def _check_free(target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(
            f"{target}: expected nothing there, found a file or folder; remove it, or give another name"
        )


def write_export(inference: InferenceGraph, target: Path, format: str, representative: np.ndarray | None = None) -> str:
    """Write a graph to `target`, and return that.

    representative: images [n, pixels] of the kind that `inference.input` takes, for 'tflite-int8'.
    Raises OSError, FileExistsError among them, and ValueError if the format cannot express the graph.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-", ignore_cleanup_errors=True) as scratch:
            new = Path(scratch) / "new"
            if format == "savedmodel":
                _write_saved_model(inference, new)
            elif format == "onnx":
                new.write_bytes(_onnx(inference))
            else:
                _write_saved_model(inference, Path(scratch) / "saved_model")
                new.write_bytes(_tflite(inference, Path(scratch) / "saved_model", representative))
            for file in (new, *new.rglob("*")):
                _sync(file)
            _check_free(target)
            new.rename(target)
    except FileExistsError:
        raise
    except (OSError, tf.errors.OpError) as error:  # a full disk, a folder that may not be written
        raise OSError(f"could not export to {target}: {reason_of(error)}") from error
    return str(target)


def _sync(file: Path) -> None:
    """A power failure must not leave a name without its bytes."""
    if file.is_file():
        with file.open("r+b") as stream:
            os.fsync(stream.fileno())


def _write_saved_model(inference: InferenceGraph, folder: Path) -> None:
    """Tag `serve`; signatures as DigitCNN.export tells them."""
    outputs = {"probabilities": inference.probabilities, "labels": inference.labels}
    # Under the names that the tutorial fetches by: T2's myOutput, T4's probabilities without their scope.
    in_the_graph = {tensor.op.name.rpartition("/")[2]: tensor for tensor in outputs.values()}
    with quiet(), inference.graph.as_default():
        signatures = {
            SIGNATURE: _signature({inference.input.op.name: inference.input}, outputs),
            SCALED_SIGNATURE: _signature({inference.scaled.op.name: inference.scaled}, in_the_graph),
        }
        builder = v1.saved_model.Builder(str(folder))
        with v1.Session(graph=inference.graph, config=v1.ConfigProto(device_count={"GPU": 0})) as session:
            builder.add_meta_graph_and_variables(session, ["serve"], signatures, strip_default_attrs=True)
        builder.save()


def _signature(inputs: dict[str, tf.Tensor], outputs: dict[str, tf.Tensor]):
    """TensorFlow's SignatureDef, for requests of tensors by name."""
    infos = [
        {name: v1.saved_model.build_tensor_info(tensor) for name, tensor in tensors.items()}
        for tensors in (inputs, outputs)
    ]
    return v1.saved_model.build_signature_def(*infos, v1.saved_model.signature_constants.PREDICT_METHOD_NAME)


def _tflite(inference: InferenceGraph, saved_model: Path, representative: np.ndarray | None) -> bytes:
    """The bytes of a .tflite file; int8 within, by the ranges that a representative set has in each layer."""
    shape = inference.input.shape[1:]

    def batches():
        for images in batch_generator(representative, batch_size=_CALIBRATION_BATCH):
            yield {inference.input.op.name: images.reshape(-1, *shape).astype(inference.input.dtype.as_numpy_dtype)}

    def convert():
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=[SIGNATURE])
        if representative is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = batches
        return converter.convert()

    return _converted("tflite", convert)


def _onnx(inference: InferenceGraph) -> bytes:
    """The bytes of an .onnx file."""
    onnx, convert = _tf2onnx()
    outputs = {"probabilities": inference.probabilities, "labels": inference.labels}
    renamed = {inference.input.name: inference.input.op.name} | {tensor.name: name for name, tensor in outputs.items()}

    def converted():
        model, _ = convert.from_graph_def(
            inference.graph.as_graph_def(),
            name="digitcnn",
            input_names=[inference.input.name],
            output_names=[tensor.name for tensor in outputs.values()],
            opset=OPSET,
            tensors_to_rename=renamed,
        )
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = "n"
        onnx.checker.check_model(model, full_check=True)  # what it could not convert, it leaves in
        return model.SerializeToString()

    return _converted("onnx", converted)


def _converted(format: str, convert: Callable[[], bytes]) -> bytes:
    try:
        with quiet():
            return convert()
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of any type
        raise ValueError(f"format {format!r}: expected a graph of what it has, found: {reason_of(error)}") from error


def _tf2onnx():
    """The modules onnx and tf2onnx.convert. Raises ImportError."""
    try:
        with quiet():
            import onnx
            from tf2onnx import convert
    except (ImportError, AttributeError) as error:  # onnx 1.19 with the ml_dtypes of TensorFlow before 2.19
        raise ImportError(f"ONNX needs tf2onnx and onnx: pip install 'digitcnn[onnx]' (found: {error})") from error
    return onnx, convert
