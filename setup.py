from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (HERE / "digitcnn" / "version.py").read_text(encoding="utf-8").splitlines()
    if line.startswith("__version__")
)

ONNX = [
    "tf2onnx>=1.17",
    # Later ones take an ml_dtypes that TensorFlow has since 2.19, and do not say so; 3.13 has TensorFlow since 2.20.
    "onnx>=1.17,<1.19; python_version < '3.13'",
    "onnx>=1.18; python_version >= '3.13'",
    "onnxruntime>=1.18",
]
TFLITE = ["ai-edge-litert>=1.2"]

setup(
    name="digitcnn",
    version=VERSION,
    description="See and own the TensorFlow graph that reads handwritten digits",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    # The bundled digits stand in data/ in the repository and inside the package once installed.
    packages=[*find_packages(include=["digitcnn", "digitcnn.*"]), "digitcnn.bundled"],
    package_dir={"digitcnn": "digitcnn", "digitcnn.bundled": "data/bundled"},
    package_data={"digitcnn": ["py.typed"], "digitcnn.bundled": ["*.gz", "*.md"]},
    install_requires=[
        "tensorflow>=2.16",
        "tensorboard>=2.16",
        "numpy>=1.26",
        "pandas>=2.1",
        "matplotlib>=3.8",
        "pillow>=10.1",
        "pooch>=1.8",
        "tqdm>=4.66",
        "requests>=2.31",
        "filelock>=3.20.3",
    ],
    extras_require={
        "benchmark": [
            "torch>=2.4",
            "jax",
            "atheris; sys_platform == 'linux' and python_version >= '3.11'",  # fuzz_idx.py
            *("scikeras", "tensorpack"),  # peers.py
        ],  # peers that tests/benchmarks/speed.py and peers.py measure; Keras comes with TensorFlow
        "notebook": ["jupyterlab>=4.2", "ipywidgets>=8.1"],
        "sklearn": ["scikit-learn>=1.6"],
        # The converter to ONNX and the runtime; the runtime of TFLite, whose converter TensorFlow has.
        "onnx": ONNX,
        "tflite": TFLITE,
        "test": [
            *("pytest>=8", "pytest-xdist>=3.7", "hypothesis>=6.100", "ruff>=0.14", "setuptools>=68", "wheel"),
            *("ipykernel>=6.29", "ipywidgets>=8.1", "jupyter_client>=8.6", "nbclient>=0.10", "nbformat>=5.10"),
            *("scikit-learn>=1.6", *ONNX, *TFLITE),
            "playwright>=1.40",  # test_browser.py; the browser itself does not come with it
        ],
    },
    entry_points={"console_scripts": ["digitcnn=digitcnn.cli.main:main"]},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Education",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
