"Everything `make test` looks at: the notebooks as text, the modules made of them, each notebook run, README, site."
import argparse
import ast
import base64
import configparser
import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from report import Report

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CONFIG = configparser.ConfigParser(delimiters=['='])
CONFIG.read(ROOT/'settings.ini', encoding='utf-8')
CONFIG = CONFIG['DEFAULT']
NOTEBOOKS = sorted(p for p in (ROOT/'nbs').glob('**/*.ipynb') if not any(part[0] in '._' for part in p.relative_to(ROOT).parts))
EXPORT = re.compile(r'^#\s*\|\s*exports?\b', re.M)
EXPORTED = re.compile(r'^#\s*\|\s*export[si]?\b', re.M)
PRIVATE = re.compile(r'(?<![\w.:/])/(work|root|tmp|home|Users|private|farm|mnt|opt)/\w|[A-Z]:\\\\?Users\\')
TIMEOUT = 600  # seconds for one notebook


class Cell:
    "One notebook cell with what the checks ask of it."
    def __init__(self, index, raw):
        self.index, self.id, self.outputs = index, raw.get('id'), raw.get('outputs', [])
        self.source, self.is_code = ''.join(raw['source']), raw['cell_type'] == 'code'
        self.is_prose = raw['cell_type'] == 'markdown'
        self.exported = self.is_code and bool(EXPORTED.search(self.source))
        self.last = 'nbdev_export(' in self.source

    def n_lines(self):
        "Lines of code, without blank lines and comments."
        return sum(1 for row in self.source.splitlines() if row.strip() and not row.strip().startswith('#'))

    def tree(self):
        "The cell's syntax tree, without IPython's own lines."
        return ast.parse('\n'.join(row for row in self.source.splitlines() if not row.lstrip().startswith(('%', '!'))))

    def only_imports(self):
        "Whether every statement is an import."
        return all(isinstance(n, (ast.Import, ast.ImportFrom)) for n in self.tree().body)

    def texts(self):
        "Every text a reader sees of the outputs."
        for out in self.outputs:
            yield ''.join(out.get('text', ''))
            for kind, data in out.get('data', {}).items():
                if kind.startswith('text/') or kind == 'image/svg+xml': yield ''.join(data)

    def pictures(self):
        "(kind, bytes) of every picture in the outputs."
        for out in self.outputs:
            for kind, data in out.get('data', {}).items():
                if kind == 'image/svg+xml': yield kind, ''.join(data).encode()
                elif kind.startswith('image/'): yield kind, base64.b64decode(''.join(data))


def read(path):
    "The cells of a notebook."
    return [Cell(i, raw) for i, raw in enumerate(json.loads(path.read_text(encoding='utf-8'))['cells'])]


def each_notebook(func):
    "Make a check of one notebook's cells a check of all; every finding names its notebook."
    def check(): return [f'{path.name}: {finding}' for path in NOTEBOOKS for finding in func(path, read(path))]
    return check


# -- the notebooks as text

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
    if cells[1].source.split() != ['#|', 'default_exp', re.sub(r'^\d+_', '', path.stem)]:
        yield 'the second cell is not `#| default_exp NAME`, alone, with the name of the notebook'
    tail = ['#| hide', 'from nbdev import nbdev_export', 'nbdev_export()']
    if [row for row in cells[-1].source.splitlines() if row.strip()] != tail: yield 'the last cell is not the hidden nbdev_export()'
    run = 0
    for c in cells:
        run = (run + (not c.only_imports())) if c.exported else 0
        if run == 3: yield f'cell {c.index}: a third exported cell in a row; show the first two in use'


@each_notebook
def outputs(path, cells):
    "What is stored is what a reader should see: no errors, warnings, absolute paths, progress bars or addresses."
    for c in cells:
        if any(out['output_type'] == 'error' for out in c.outputs): yield f'cell {c.index} holds an error'
        if any('vnd.jupyter.widget' in kind for out in c.outputs for kind in out.get('data', {})): yield f'cell {c.index} shows a widget'
        for text in c.texts():
            if PRIVATE.search(text): yield f'cell {c.index} shows a path of one machine: {PRIVATE.search(text)[0]}…'
            if 'Warning:' in text: yield f'cell {c.index} shows a warning: {text.strip()[:80]}'
            if re.search(r'\d+%\|', text): yield f'cell {c.index} shows a progress bar'
            if re.search(r' at 0x[0-9a-f]{6,}', text): yield f'cell {c.index} shows a memory address: {text.strip()[:80]}'


@each_notebook
def imports(path, cells):
    "The docs build executes unexported cells that import: they hold imports only. No star imports in modules."
    for c in cells:
        if not c.is_code: continue
        try: found = [n for n in ast.walk(c.tree()) if isinstance(n, (ast.Import, ast.ImportFrom))]
        except SyntaxError as e: yield f'cell {c.index} is not valid Python: {e}'; continue
        if c.exported and any(alias.name == '*' for n in found for alias in n.names): yield f'cell {c.index} imports *'
        if found and not (c.exported or c.last or c.only_imports()):
            yield f'cell {c.index} mixes imports with other code: {c.source.strip()[:60]!r}'


@each_notebook
def sizes(path, cells):
    "The norms of one sitting, in cells, lines, kilobytes and words."
    exported = [c for c in cells if c.exported]
    shown = [c for c in cells if c.is_code and EXPORT.search(c.source)]
    words = sum(len(c.source.split()) for c in cells if c.is_prose)
    pictures = [(c.index, kind, data) for c in cells for kind, data in c.pictures()]
    if len(cells) > 60: yield f'{len(cells)} cells (at most 60)'
    if path.stat().st_size > 250*1024: yield f'{path.stat().st_size//1024} KB (at most 250)'
    if sum(c.n_lines() for c in exported) > 300: yield f'{sum(c.n_lines() for c in exported)} exported lines (at most 300)'
    if words < 15*len(shown): yield f'{words} words of prose for {len(shown)} exported cells (at least 15 each, better 30)'
    if sum(kind != 'image/svg+xml' for _, kind, _ in pictures) > 4: yield 'more than 4 figures'
    for index, _, data in pictures:
        if len(data) > 40*1024: yield f'cell {index}: a figure of {len(data)//1024} KB (at most 40)'
    for c in exported:
        if c.n_lines() > 50: yield f'cell {c.index}: {c.n_lines()} exported lines (at most 50)'
    for c in cells:
        long = [len(row) for row in c.source.splitlines() if len(row) > 110]
        if c.is_code and long: yield f'cell {c.index}: a line of {max(long)} characters (at most 110)'


# -- the modules made of them

def fresh_copy(folder):
    "Copy into `folder` what nbdev works on, but not the modules: they are to be made anew."
    for name in ('settings.ini', 'setup.py', 'pyproject.toml', '_quarto.yml'): shutil.copy2(ROOT/name, folder/name)
    shutil.copytree(ROOT/'nbs', folder/'nbs', symlinks=True, ignore=shutil.ignore_patterns('.*', '_*'))


def nbdev(command, folder):
    "Run one of nbdev's commands in `folder`; its complaint if it failed."
    env = {k: v for k, v in os.environ.items() if k != 'IN_TEST'}
    done = subprocess.run([BIN/command], cwd=folder, env=env, capture_output=True, text=True)
    return [f'{command}: {done.stderr.strip()[-500:]}'] if done.returncode else []


def differing(old, new, pattern):
    "Names below two folders whose content differs, and names on one side only."
    left, right = ({str(p.relative_to(top)) for p in top.glob(pattern)} for top in (old, new))
    changed = {name for name in left & right if not filecmp.cmp(old/name, new/name, shallow=False)}
    return sorted(changed), sorted(left - right), sorted(right - left)


def in_sync():
    "Exporting all notebooks anew gives the modules as they are: none edited by hand, none missing, none left over."
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        fresh_copy(tmp)
        (tmp/'nucleus_cls').mkdir()
        failed = nbdev('nbdev_export', tmp)
        if failed: return failed
        changed, orphan, missing = differing(ROOT/'nucleus_cls', tmp/'nucleus_cls', '**/*.py')
        project = [] if filecmp.cmp(ROOT/'pyproject.toml', tmp/'pyproject.toml', shallow=False) else ['pyproject.toml would change']
    return [*(f'nucleus_cls/{n} is not what its notebook exports: run nbdev_export' for n in changed),
            *(f'nucleus_cls/{n} has no notebook: delete it' for n in orphan),
            *(f'nucleus_cls/{n} is not exported yet: run nbdev_export' for n in missing), *project]


def clean():
    "nbdev_clean would change nothing."
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        fresh_copy(tmp)
        failed = nbdev('nbdev_clean', tmp)
        changed = [p for p in NOTEBOOKS if not filecmp.cmp(p, tmp/p.relative_to(ROOT), shallow=False)]
    return failed + [f'{p.name} is not clean: run nbdev_clean' for p in changed]


def names():
    "Every name a module uses is defined or imported in it (a notebook's test imports can hide a missing one)."
    folders = [p for p in (ROOT/'nucleus_cls', ROOT/'tools', ROOT/'benchmarks') if p.is_dir()]
    done = subprocess.run([sys.executable, '-m', 'pyflakes', *folders], capture_output=True, text=True)
    return (done.stdout + done.stderr).replace(f'{ROOT}{os.sep}', '').splitlines()


def python(code):
    "Run `code` in a fresh Python and return (stdout, stderr)."
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip(), done.stderr.strip()


def light_import():
    "`import nucleus_cls` is quick and silent, and neither it nor the command line loads what they may never need."
    timed = "import time; t = time.perf_counter(); import nucleus_cls; print(time.perf_counter() - t)"
    runs = [python(timed) for _ in range(3)]
    if any(err for _, err in runs): return [runs[0][1]]
    if min(float(out) for out, _ in runs) > .3: yield f'import nucleus_cls takes {min(float(out) for out, _ in runs):.2f} s (at most 0.3)'
    heavy = "import sys, {}; print(*sorted({{'torch', 'matplotlib', 'pandas', 'zarr', 'skimage', 'sklearn'}} & set(sys.modules)))"
    for module in ('nucleus_cls', 'nucleus_cls.core', 'nucleus_cls.cli'):
        out, err = python(heavy.format(module))
        if out or err: yield f'import {module} loads or says: {out or err[-300:]}'


def silent_modules():
    "Every module imports without a word."
    modules = [f'nucleus_cls.{p.stem}' for p in sorted((ROOT/'nucleus_cls').glob('*.py')) if p.stem[0] != '_']
    return [text for text in python(f'import {", ".join(modules)}') if text]


def commands():
    "Every console script answers --help."
    for entry in CONFIG['console_scripts'].split():
        name = entry.split('=')[0]
        if not (BIN/name).exists(): yield f'{name} is not installed'; continue
        done = subprocess.run([BIN/name, '--help'], capture_output=True, text=True)
        if done.returncode or 'usage' not in done.stdout.lower(): yield f'{name} --help: {done.stderr.strip().splitlines()[-1:]}'


# -- the house around them

def listed():
    "Every chapter is in the sidebar and on the front page, and those name no other."
    sidebar = set(re.findall(r'[\w/]+\.ipynb', (ROOT/'_quarto.yml').read_text(encoding='utf-8')))
    front = set(re.findall(r'\]\((\w+\.ipynb)', (ROOT/'nbs/index.ipynb').read_text(encoding='utf-8')))
    chapters = {str(p.relative_to(ROOT/'nbs')) for p in NOTEBOOKS}
    for name in sorted(chapters | sidebar | front):
        if name not in chapters: yield f'{name} is named, but there is no such notebook'
        elif name not in sidebar: yield f'{name} is not in the sidebar of _quarto.yml'
        elif name not in front and name != 'index.ipynb': yield f'{name} is not in the table of chapters of index.ipynb'


def repository():
    "No path of one machine and no binary data in what is committed; one version everywhere."
    kept = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], cwd=ROOT, capture_output=True, text=True)
    for name in kept.stdout.splitlines():
        path = ROOT/name
        if re.search(r'\.(tiff?|np[yz]|h5|zarr|klb|mp4|pth?|safetensors)$', name): yield f'{name}: binary data'
        elif path.is_file() and path.suffix not in ('.png', '.gif'):
            for n, row in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
                if re.search(r'(?<![\w.:/])/(work|root|farm)/[a-z]', row): yield f'{name}:{n}: a path of one machine'
    cited = re.search(r'^version: (\S+)', (ROOT/'CITATION.cff').read_text(encoding='utf-8'), re.M)
    if not cited or cited[1] != CONFIG['version']: yield 'CITATION.cff and settings.ini name different versions'


def readme():
    "README.md is what index.ipynb gives."
    from readme import stale
    return stale()


def site():
    "The documentation builds without a warning."
    done = subprocess.run([sys.executable, ROOT/'tools/docs.py', '--build-only'], cwd=ROOT, capture_output=True, text=True)
    if done.returncode: return done.stdout.splitlines() + done.stderr.splitlines()


def links():
    "Every link between its pages leads somewhere."
    from docs import broken_links
    return broken_links()


# -- the notebooks run

def run_notebook(path, flags, threads):
    "Run one notebook as nbdev_test does, in a process of its own; (seconds, findings)."
    env = os.environ | {'TQDM_DISABLE': '1', 'OMP_NUM_THREADS': str(threads)}
    start = time.monotonic()
    try:
        done = subprocess.run([BIN/'nbdev_test', '--path', path, '--n_workers', '0', '--flags', flags],
                              cwd=ROOT, env=env, capture_output=True, text=True, timeout=TIMEOUT)
        findings = [done.stderr.split('nbdev Tests Failed')[0].strip()[-3000:]] if done.returncode else []
    except subprocess.TimeoutExpired: findings = [f'still running after {TIMEOUT} s']
    return time.monotonic() - start, findings


def run_notebooks(report, flags, n_workers):
    "Run every notebook, a line each as it ends; none may leave a file in the project."
    before = {p for folder in (ROOT, ROOT/'nbs') for p in folder.iterdir()}
    threads = max(1, (os.cpu_count() or 1)//n_workers)
    with ThreadPoolExecutor(n_workers) as pool:
        jobs = [(path, pool.submit(run_notebook, path, flags, threads)) for path in NOTEBOOKS]
        for path, job in jobs:
            seconds, findings = job.result()
            report.line(f'nbs/{path.name}' + (' (over the 20 s of the norm)' if seconds > 20 and not flags else ''), seconds, findings)
    left = {p for folder in (ROOT, ROOT/'nbs') for p in folder.iterdir()} - before
    report.check('notebooks leave nothing behind', lambda: [f'{p.relative_to(ROOT)} was written into the project' for p in left])


def main(args):
    "Run the checks asked for; exit status 1 if any failed."
    report = Report()
    if not args.only_notebooks:
        for name, func in [('every cell has an id', ids), ('anatomy of the notebooks', anatomy), ('sizes within the norms', sizes),
                           ('imports unmixed', imports), ('stored outputs', outputs), ('notebooks clean', clean),
                           ('export in sync, no orphan module', in_sync), ('no undefined or unused names', names),
                           ('light import', light_import), ('modules import silently', silent_modules),
                           ('commands answer --help', commands), ('chapters listed', listed), ('repository', repository),
                           ('README current', readme)]: report.check(name, func)
    run_notebooks(report, args.flags, args.n_workers)
    if not args.only_notebooks:
        report.check('docs site built', site)
        report.check('links of the docs site', links)
    return report.close()


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--flags', default='', help='run the cells with these flags too: slow, cuda')
    parser.add_argument('--only_notebooks', action='store_true', help='only run the notebooks')
    parser.add_argument('--n_workers', type=int, default=2, help='notebooks run side by side')
    sys.exit(main(parser.parse_args()))
