"""What is installed as `saiki`: the components, the pipelines and the command line."""

from setuptools import find_packages, setup

setup(
    name="saiki",
    version="0.1.0",
    description="A component suite for Kubeflow Pipelines that keeps a model fresh and promotes none without evidence",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["components", "components.*", "pipelines", "pipelines.*"]),
    package_data={"": ["*.yaml", "*.jinja", "*.html", "*.css", "*.js", "*.svg", "README.md"]},
    # Loosely, for use as a library; `make` installs exactly what requirements/cli.txt pins.
    install_requires=[
        "boto3",
        "click",
        "duckdb",
        "google-cloud-storage",
        "jinja2",
        "kfp>=2.17,<3",
        "kfp-kubernetes",
        "kubernetes",
        "numpy",
        "pyarrow",
        "pydantic>=2",
        "pyyaml",
        "rich",
        "tzdata",
    ],
    entry_points={"console_scripts": ["saiki=pipelines.__main__:main"]},
)
