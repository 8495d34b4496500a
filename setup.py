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
SEARCH = ["joblib>=1.4"]
DASK = [*SEARCH, "dask[distributed]>=2024.8"]

# Folders of data that stand elsewhere in the repository, and inside the package once installed.
DATA = {
    "digitcnn.bundled": "data/bundled",
    "digitcnn.pretrained": "data/pretrained",
    "digitcnn.examples": "examples",
}

setup(
    name="digitcnn",
    version=VERSION,
    description="See and own the TensorFlow graph that reads handwritten digits",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    keywords=["MNIST", "TensorFlow", "convolutional neural network", "handwritten digits", "TensorBoard", "education"],
    python_requires=">=3.10,<3.14",
    packages=[*find_packages(include=["digitcnn", "digitcnn.*"]), *DATA],
    package_dir={"digitcnn": "digitcnn", **DATA},
    package_data={
        "": ["README.md"],
        "digitcnn": ["py.typed"],
        "digitcnn.demo": ["page.html"],
        "digitcnn.report": ["report.html"],
        "digitcnn.bundled": ["*.gz"],
        "digitcnn.pretrained": ["*.npz", "*.json"],
        "digitcnn.examples": ["*.py", "*.ipynb", "*.yaml", "*.sh"],
    },
    install_requires=[
        "tensorflow>=2.16",
        "tensorboard>=2.16",
        "werkzeug>=3.0",  # the demo's server; TensorBoard brings it too
        "numpy>=1.26",
        "pandas>=2.1",
        "matplotlib>=3.8",
        "pillow>=10.1",
        "scipy>=1.11",
        "platformdirs>=4.0",
        "tqdm>=4.66",
        "requests>=2.31",
        "filelock>=3.20.3",
        "google-crc32c>=1.5",  # TensorFlow's checksums, in its checkpoints
    ],
    extras_require={
        "benchmark": [
            "torch>=2.4",
            "jax",
            "atheris; sys_platform == 'linux' and python_version >= '3.11'",  # fuzz_idx.py, fuzz_models.py
            *("scikeras", "tensorpack"),  # peers.py
        ],  # peers that tests/benchmarks/speed.py and peers.py measure; Keras comes with TensorFlow
        "gpu": ["tensorflow[and-cuda]>=2.16"],  # NVIDIA's libraries, on Linux; nothing was measured on a GPU yet
        "notebook": ["jupyterlab>=4.2", "ipywidgets>=8.1"],
        "heic": ["pillow-heif>=0.18"],  # photos of iPhones
        "sklearn": ["scikit-learn>=1.6"],
        # `digitcnn search`: processes of one machine, and the workers of a cluster.
        "search": SEARCH,
        "dask": DASK,
        # The converter to ONNX and the runtime; the runtime of TFLite, whose converter TensorFlow has.
        "onnx": ONNX,
        "tflite": TFLITE,
        "test": [
            *("pytest>=8", "pytest-xdist>=3.7", "hypothesis>=6.100", "ruff>=0.14", "mypy>=1.15", "numpydoc>=1.8"),
            *("build>=1.2", "setuptools>=77.0.3", "wheel", "check-jsonschema>=0.31"),  # test_packaging.py
            *("ipykernel>=6.29", "ipywidgets>=8.1", "jupyter_client>=8.6", "nbclient>=0.10", "nbformat>=5.10"),
            *("scikit-learn>=1.6", *ONNX, *TFLITE, *DASK),
            "kubernetes-validate>=1.33",  # test_manifests.py: the schemas of Kubernetes, offline
            "playwright>=1.40",  # test_browser.py; the browser itself does not come with it
        ],
    },
    entry_points={"console_scripts": ["digitcnn=digitcnn.cli.main:main"]},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Framework :: Jupyter",
        "Intended Audience :: Developers",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: Microsoft :: Windows",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)),
        "Topic :: Education",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
)
