from setuptools import Extension, setup

setup(
    name="made_by_setuptools",
    version="1.0",
    ext_modules=[Extension("made_by_setuptools", ["module.c"])],
    scripts=["greet"],
    install_requires=["docopt==0.6.2"],
)
