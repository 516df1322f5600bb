"""Puts the study files into the wheel, beside the modules; all else is in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithStudies(build_py):
    """`studies/*.yaml` become `kdsearch/studies/*.yaml`, which `kdsearch study new` copies.

    An editable install reads them where they are.
    """

    def run(self) -> None:
        """Build, then add the study files."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "kdsearch" / "studies"
        self.mkpath(str(target))
        for file in sorted(Path("studies").glob("*.yaml")):
            self.copy_file(str(file), str(target / file.name))


setup(cmdclass={"build_py": BuildWithStudies})
