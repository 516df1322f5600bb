"""What a page links to beside docs/ is in the site.

Pages link as they do in a checkout (`../studies/capacity.yaml`). A Markdown file becomes a page,
other text a page that shows it, a folder of reports/ is copied whole; links are turned to these.
"""

import re
from pathlib import Path
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
BESIDE = "repository/"
LINK = re.compile(r"(?<=\]\()([^)#\s]+)(#[^)\s]*)?(?=\))")
SHOWN = {".yaml": "yaml", ".py": "python", ".txt": "text", ".json": "json"}
OF_A_REPORT = {".html", ".csv", ".json", ".png", ".svg"}
ALWAYS = ("CHANGELOG.md", "benchmarks/README.md")  # in the navigation


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages link to, and what is linked from there, and so on."""
    pages = [f"docs/{file.src_uri}" for file in files.documentation_pages()]
    seen = set(pages)
    waiting = [*pages, *ALWAYS]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            for file in beside(path, config=config):
                if files.get_file_from_path(file.src_uri) is None:
                    files.append(file)
        targets = (target_of(found[1], page=path) for found in LINK.finditer(markdown_of(path)))
        waiting += [t for t in targets if t and t not in seen and not t.startswith("docs/")]
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links that leave docs/, or come from beside it, to pages of the site."""
    source = page.file.src_uri
    beside_docs = source.startswith(BESIDE)
    path = source.removeprefix(BESIDE) if beside_docs else f"docs/{source}"
    path = path.removesuffix("/index.md")

    def turned(found: re.Match[str]) -> str:
        target = target_of(found[1], page=path)
        if target is None or (target.startswith("docs/") and not beside_docs):
            return found[0]
        return relpath(uri_of(target), str(Path(source).parent)) + (found[2] or "")

    return LINK.sub(turned, markdown)


def target_of(link: str, *, page: str) -> str | None:
    """The file or folder that a page links to, from the repository's root; None if elsewhere."""
    if "://" in link or link.startswith("mailto:"):
        return None
    folder = page if (ROOT / page).is_dir() else Path(page).parent.as_posix()
    path = normpath(f"{folder}/{link}")
    if path.startswith("..") or not (ROOT / path).exists():
        return None
    inside = (f"{path}/{name}" for name in ("README.md", "report.html"))
    return next((file for file in inside if (ROOT / file).is_file()), path)


def markdown_of(path: str) -> str:
    """What a file or folder of the repository says on its page; nothing of what is no page."""
    file = ROOT / path
    if file.suffix == ".md":
        return file.read_text()
    if file.is_dir():
        names = sorted(f.name for f in file.iterdir() if f.suffix in SHOWN)
        return f"# {path}/\n\n" + "".join(f"- [{name}]({name})\n" for name in names)
    if file.suffix in SHOWN:
        return f"# {path}\n\n~~~~{SHOWN[file.suffix]}\n{file.read_text()}~~~~\n"
    return ""


def uri_of(path: str) -> str:
    """Where a file or folder of the repository is among the sources of the site."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if (ROOT / path).is_dir():
        return f"{BESIDE}{path}/index.md"
    return f"{BESIDE}{path}.md" if Path(path).suffix in SHOWN else BESIDE + path


def beside(path: str, *, config: MkDocsConfig) -> list[File]:
    """A file beside docs/ for the site; of a report all that its page links to."""
    text = markdown_of(path)
    if text:
        return [File.generated(config, uri_of(path), content=text)]
    paths = [path]
    if Path(path).name == "report.html":
        files = sorted((ROOT / Path(path).parent).rglob("*"))
        paths = [f.relative_to(ROOT).as_posix() for f in files if f.suffix in OF_A_REPORT]
    return [File.generated(config, BESIDE + p, abs_src_path=str(ROOT / p)) for p in paths]
