"The notebooks as text: what `make test` looks at without running them. A check returns its findings, one line each."
import ast
import base64
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT/'nbs'
NOTEBOOKS = sorted(p for p in NBS.glob('**/*.ipynb')
                   if not any(part[0] in '._' for part in p.relative_to(ROOT).parts))
#: A notebook that makes another module than its name says: the names of `nucleus_cls` itself.
FRONT_DOOR = {'api.ipynb': '__init__'}
IMPORTS = ast.Import, ast.ImportFrom
#: What no stored output may hold: name → pattern.
SHOWN_NEVER = {'a warning': r'\w*Warning:', 'a progress bar': r'\d+%\|', 'a memory address': r' at 0x[0-9a-f]{6,}',
               'a path of one machine': r'(?<![\w.:/])/(work|root|tmp|home|Users|private|farm|mnt|opt)/\w|[A-Z]:\\Users'}


def module_of(path):
    "The module a notebook makes: `nbs/02_lineage/06_states.ipynb` makes `lineage.states`."
    return '.'.join(re.sub(r'^\d+_', '', part) for part in path.relative_to(NBS).with_suffix('').parts)


class Cell:
    "One notebook cell with what the checks ask of it."
    def __init__(self, index, raw):
        self.index, self.id, self.outputs = index, raw.get('id'), raw.get('outputs', [])
        self.source, self.is_code = ''.join(raw['source']), raw['cell_type'] == 'code'
        self.is_prose = raw['cell_type'] == 'markdown'
        self.exported = self.is_code and bool(re.search(r'^#\s*\|\s*export[si]?\b', self.source, re.M))
        self.documented = self.is_code and bool(re.search(r'^#\s*\|\s*exports?\b', self.source, re.M))

    def n_lines(self):
        "Lines of code, without blank lines and comments."
        return sum(1 for row in self.source.splitlines() if row.strip() and not row.strip().startswith('#'))

    def tree(self):
        "The syntax tree, without IPython's own lines."
        rows = [row for row in self.source.splitlines() if not row.lstrip().startswith(('%', '!'))]
        return ast.parse('\n'.join(rows))

    def only_imports(self):
        "Whether every statement is an import."
        return all(isinstance(n, IMPORTS) for n in self.tree().body)

    def shown(self):
        "(kind, data) of everything a reader sees of the outputs; plain text has the kind text/plain."
        for out in self.outputs:
            if 'text' in out: yield 'text/plain', ''.join(out['text'])
            for kind, data in out.get('data', {}).items(): yield kind, data if isinstance(data, str) else ''.join(data)

    def text(self):
        "All text in the outputs, drawings in SVG included."
        return '\n'.join(data for kind, data in self.shown() if kind.startswith('text/') or kind == 'image/svg+xml')

    def pictures(self):
        "(kind, size in bytes) of every picture in the outputs."
        for kind, data in self.shown():
            if kind == 'image/svg+xml': yield kind, len(data.encode())
            elif kind.startswith('image/'): yield kind, len(base64.b64decode(data))


def read(path):
    "The cells of a notebook."
    return [Cell(i, raw) for i, raw in enumerate(json.loads(path.read_text(encoding='utf-8'))['cells'])]


def each_notebook(func):
    "Make a check of one notebook's cells a check of all; every finding names its notebook."
    def check():
        for path in NOTEBOOKS:
            for finding in func(path, read(path)): yield f'{path.relative_to(NBS)}: {finding}'
    check.__doc__ = func.__doc__
    return check


@each_notebook
def ids(path, cells):
    "Every cell has an id of its own (nbdev writes them into the modules)."
    seen = [c.id for c in cells]
    if not all(seen): yield f'cells without an id: {[c.index for c in cells if not c.id]}'
    if len(set(seen)) < len(seen): yield 'two cells share an id'


@each_notebook
def anatomy(path, cells):
    "Title, summary, default_exp, the export call last; at most two exported cells in a row."
    if not re.match(r'# .+\n+> .+', cells[0].source): yield 'the first cell is not `# Title` and `> summary`'
    if not any(c.exported for c in cells): return
    if cells[1].source.split() != ['#|', 'default_exp', FRONT_DOOR.get(path.name, module_of(path))]:
        yield 'the second cell is not `#| default_exp NAME`, alone, with the name of its folder and its own'
    last = [row for row in cells[-1].source.splitlines() if row.strip()]
    if last != ['#| hide', 'from nbdev import nbdev_export', 'nbdev_export()']:
        yield 'the last cell is not the hidden nbdev_export()'
    run = 0
    for c in cells:
        run = run + (not c.only_imports()) if c.exported else 0
        if run == 3: yield f'cell {c.index}: a third exported cell in a row; show the first two in use'


@each_notebook
def outputs(path, cells):
    "What is stored is what a reader should see: no errors, warnings, machine's paths, progress bars, addresses."
    for c in cells:
        if any(out['output_type'] == 'error' for out in c.outputs): yield f'cell {c.index} holds an error'
        if any('jupyter.widget' in kind for kind, _ in c.shown()): yield f'cell {c.index} shows a widget'
        text = c.text()
        for what, pattern in SHOWN_NEVER.items():
            found = re.search(pattern, text)
            if found: yield f'cell {c.index} shows {what}: {text[found.start():found.end() + 40].strip()!r}'


@each_notebook
def imports(path, cells):
    "The docs build executes unexported cells that import: they hold imports only. No star imports in modules."
    for c in cells:
        if not c.is_code: continue
        try: found = [n for n in ast.walk(c.tree()) if isinstance(n, IMPORTS)]
        except SyntaxError as e: yield f'cell {c.index} is not valid Python: {e}'; continue
        if c.exported and any(alias.name == '*' for n in found for alias in n.names):
            yield f'cell {c.index} imports *'
        if found and not (c.exported or c.only_imports() or 'nbdev_export(' in c.source):
            yield f'cell {c.index} mixes imports with other code: {c.source.strip()[:60]!r}'


def said(cell):
    "What a cell says in words: prose without its code, or the docstrings of what it defines."
    if cell.is_prose: return re.sub(r'```.*?```|`[^`]*`', '', cell.source, flags=re.S)
    defined = (n for n in ast.walk(cell.tree()) if isinstance(n, (ast.FunctionDef, ast.ClassDef)))
    return re.sub(r'`[^`]*`', '', '\n'.join(ast.get_docstring(n) or '' for n in defined))


@each_notebook
def words(path, cells):
    "Short names stay in the code: a sentence says segmentation, not seg."
    for c in cells:
        found = re.search(r'.*\b[Ss]egs?\b.*', said(c)) if c.is_prose or c.exported else None
        if found: yield f'cell {c.index} says seg: {found[0].strip()[:80]!r}'


@each_notebook
def sizes(path, cells):
    "The norms of one sitting, in cells, lines, kilobytes and words; pages for users may show more pictures."
    kb, words = path.stat().st_size/1024, sum(len(c.source.split()) for c in cells if c.is_prose)
    lines = {c.index: c.n_lines() for c in cells if c.exported}
    documented = sum(c.documented for c in cells)
    pictures = [(c.index, kind, size) for c in cells for kind, size in c.pictures()]
    if len(cells) > 60: yield f'{len(cells)} cells (at most 60)'
    shows = path.relative_to(NBS).parts[0] in ('guide', 'tutorials')
    if kb > (600 if shows else 250): yield f'{kb:.0f} KB (at most {600 if shows else 250})'
    if sum(lines.values()) > 300: yield f'{sum(lines.values())} exported lines (at most 300)'
    if words < 15*documented: yield f'{words} words of prose for {documented} exported cells (at least 15 each)'
    if sum(kind != 'image/svg+xml' for _, kind, _ in pictures) > (24 if shows else 4): yield 'more than 4 figures'
    for index, _, size in pictures:
        if size > (100 if shows else 40)*1024: yield f'cell {index}: a figure of {size//1024} KB'
    for index, n in lines.items():
        if n > 50: yield f'cell {index}: {n} exported lines (at most 50)'
    for c in cells:
        longest = max(map(len, c.source.splitlines()), default=0)
        if c.is_code and longest > 110: yield f'cell {c.index}: a line of {longest} characters (at most 110)'
