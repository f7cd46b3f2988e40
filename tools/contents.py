"The table of contents, read from the folders: the sidebar in `_quarto.yml` and the table of chapters in index.ipynb."
import json
import re
import sys

from notebooks import NBS, NOTEBOOKS, ROOT

#: What a package is about, in the order of the folders; the sidebar and the table call it so.
TITLES = {'': 'Basics', '01_simulation': 'A simulated embryo', '02_lineage': 'From lineage to state',
          '03_volumes': 'Volumes and crops', '04_plot': 'Pictures', '05_movies': 'Movies of every layout',
          '06_samples': 'From movie to samples', '07_transforms': 'From sample to tensor', '08_models': 'Networks',
          '09_training': 'Training', '10_prediction': 'Prediction', '11_evaluation': 'Evaluation',
          '12_report': 'Reports', '13_video': 'Video', '14_review': 'Check and review', '15_cli': 'Commands',
          '16_napari': 'In napari',
          'tutorials': 'Tutorials', 'guide': 'Guide'}
#: Sections for who uses the package, above those for who changes it; a page of the root, and files beside the pages.
FIRST, BESIDE = ('tutorials', 'guide'), {'guide': ('api.ipynb', 'CHANGELOG.md')}
YAML, INDEX = ROOT/'_quarto.yml', NBS/'index.ipynb'
SIDEBAR = re.compile(r'(?<=      # the chapters, made by `make contents`\n).*?(?=      # the end of the chapters\n)', re.S)
HEADER = '| package | chapters |\n|---|---|\n'


def chapters():
    "{folder: its notebooks, as paths from nbs/}, in the order of TITLES; the front page is none."
    found = {folder: [] for folder in TITLES}
    for path in NOTEBOOKS:
        if path != INDEX: found.setdefault('/'.join(path.relative_to(NBS).parts[:-1]), []).append(path.relative_to(NBS))
    return {folder: paths for folder, paths in found.items() if paths}


def name_of(path):
    "What the table calls a chapter: its file without number, in words."
    return re.sub(r'^\d+_', '', path.stem).replace('_', ' ')


def section(folder, paths, indent):
    "A section of the sidebar as text."
    pages = [*(p.as_posix() for p in paths), *BESIDE.get(folder, ())]
    return f"{indent}- section: {TITLES[folder]}\n{indent}  contents: [{', '.join(pages)}]\n"


def sidebar():
    "The sections of the sidebar, ready for `_quarto.yml`: how to use the package, then what is inside."
    found = chapters()
    found[''] = [p for p in found[''] if p.name not in BESIDE['guide']]
    for folder in FIRST: yield section(folder, found[folder], ' '*6)
    yield '      - section: Inside, chapter by chapter\n        contents:\n'
    for folder, paths in found.items():
        if folder not in FIRST: yield section(folder, paths, ' '*10)


def table():
    "The table of chapters, a row a package."
    rows = (f"| {TITLES[folder].lower()} | {' · '.join(f'[{name_of(p)}]({p.as_posix()})' for p in paths)} |"
            for folder, paths in chapters().items())
    return HEADER + '\n'.join(rows)


def updated():
    "{file: the text it should have}, for the two files that list the chapters."
    text = INDEX.read_text(encoding='utf-8')
    nb = json.loads(text)
    for cell in nb['cells']:
        source = ''.join(cell['source'])
        if HEADER not in source: continue
        new = re.sub(re.escape(HEADER) + r'(\|.*\n?)*', lambda m: table(), source)
        cell['source'] = new.splitlines(keepends=True)
    quarto = SIDEBAR.sub(lambda m: ''.join(sidebar()), YAML.read_text(encoding='utf-8'))
    return {YAML: quarto, INDEX: json.dumps(nb, indent=1, ensure_ascii=False) + '\n'}


def stale():
    "Every package has a title, and every chapter is in the sidebar and in the table of the front page."
    unknown = chapters().keys() - TITLES.keys()
    if unknown: return [f'{folder}: name it in TITLES of tools/contents.py' for folder in sorted(unknown)]
    return [f'{path.name} does not list the chapters as they are: run `make contents`'
            for path, text in updated().items() if path.read_text(encoding='utf-8') != text]


if __name__ == '__main__':
    for path, text in updated().items(): path.write_text(text, encoding='utf-8')
    sys.exit(bool(stale()))
