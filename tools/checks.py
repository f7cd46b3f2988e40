"Everything `make test` looks at: notebooks as text, the modules made of them, every notebook run, README, site."
import argparse
import ast
import configparser
import filecmp
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Timer

import contents
import docs
import execute
import house
import notebooks
import readme
from nbclient.exceptions import CellExecutionError
from notebooks import NBS, NOTEBOOKS, ROOT
from report import Report

BIN = Path(sys.executable).parent
TIMEOUT = 600  # seconds for one notebook
CONFIG = configparser.ConfigParser(delimiters=['='])
CONFIG.read(ROOT/'settings.ini', encoding='utf-8')
CONFIG = CONFIG['DEFAULT']


def run(*command, **kw):
    "Run a command in the root and return what came of it, its output as text."
    return subprocess.run(command, check=False, **{'cwd': ROOT, 'capture_output': True, 'text': True, **kw})


# -- the modules made of the notebooks

def fresh_copy(folder):
    "Copy into `folder` what nbdev works on, but not the modules: they are to be made anew."
    for name in ('settings.ini', 'setup.py', 'pyproject.toml'): shutil.copy2(ROOT/name, folder/name)
    shutil.copytree(ROOT/'nbs', folder/'nbs', ignore=shutil.ignore_patterns('.*', '_*'))
    (folder/'nucleus_cls').mkdir()


def nbdev(command, folder):
    "Run one of nbdev's commands in `folder`; its complaint if it failed."
    done = run(BIN/command, cwd=folder, env={k: v for k, v in os.environ.items() if k != 'IN_TEST'})
    return [f'{command}: {done.stderr.strip()[-500:]}'] if done.returncode else []


def same(a, b):
    "Whether two files hold the same bytes."
    return filecmp.cmp(a, b, shallow=False)


def in_sync():
    "Exporting all notebooks anew gives the modules as they are: none edited by hand, none missing, none left over."
    with tempfile.TemporaryDirectory() as tmp:
        fresh_copy(Path(tmp))
        failed = nbdev('nbdev_export', tmp)
        old, new = ({str(p.relative_to(top)): p for p in (top/'nucleus_cls').glob('**/*.py')}
                    for top in (ROOT, Path(tmp)))
        return [*failed, *(f'{n} has no notebook: delete it' for n in sorted(old.keys() - new.keys())),
                *(f'{n} is not exported yet: run nbdev_export' for n in sorted(new.keys() - old.keys())),
                *(f'{n} is not what its notebook exports: run nbdev_export'
                  for n in sorted(old.keys() & new.keys()) if not same(old[n], new[n])),
                *([] if same(ROOT/'pyproject.toml', f'{tmp}/pyproject.toml') else ['pyproject.toml would change'])]


def clean():
    "nbdev_clean would change nothing."
    with tempfile.TemporaryDirectory() as tmp:
        fresh_copy(Path(tmp))
        failed = nbdev('nbdev_clean', tmp)
        changed = [str(p.relative_to(NBS)) for p in NOTEBOOKS if not same(p, Path(tmp)/p.relative_to(ROOT))]
    return failed + [f'{name} is not clean: run nbdev_clean' for name in changed]


def lint():
    "ruff finds nothing: names that are not there or not used, likely bugs, old-fashioned forms (ruff.toml)."
    done = run(BIN/'ruff', 'check', '--output-format', 'concise', '--no-cache', '.')
    return [] if not done.returncode else (done.stdout + done.stderr).strip().splitlines()


def types():
    "mypy finds nothing: what crosses the wall of a package fits the types stated there (mypy.ini)."
    done = run(BIN/'mypy')
    return [] if not done.returncode else (done.stdout + done.stderr).strip().splitlines()


def python(code):
    "Run `code` in a fresh Python and return (stdout, stderr)."
    done = run(sys.executable, '-c', code)
    return done.stdout.strip(), done.stderr.strip()


def light_import():
    "`import nucleus_cls` is quick and silent; it, the core and the command line load nothing heavy."
    timed = 'import time; t = time.perf_counter(); import nucleus_cls; print(time.perf_counter() - t)'
    best = min((python(timed) for _ in range(3)), key=lambda told: float(told[0] or 'inf'))
    if best[1]: yield best[1]
    elif float(best[0]) > .3: yield f'import nucleus_cls takes {float(best[0]):.2f} s (at most 0.3)'
    commands = [name for name in house.modules() if name.startswith('nucleus_cls.cli.')]
    for module in ('nucleus_cls', 'nucleus_cls.core', *commands):
        heavy = "{'torch', 'matplotlib', 'pandas', 'zarr', 'skimage', 'sklearn', 'seaborn'}"
        out, err = python(f'import sys, {module}; print(*sorted({heavy} & set(sys.modules)))')
        if out or err: yield f'import {module} loads or says: {out or err[-300:]}'


def silent_modules():
    "Every module imports without a word."
    return [text for text in python(f'import {", ".join(house.modules())}') if text]


def scripts():
    "What scripts in benchmarks/ and tools/ take from the package is there."
    wanted = set()
    for path in sorted([*(ROOT/'benchmarks').glob('*.py'), *(ROOT/'tools').glob('*.py')]):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('nucleus_cls'):
                wanted |= {f'from {node.module} import {a.name}' for a in node.names}
    code = 'import sys\nfor line in sys.stdin:\n    try: exec(line)\n    except ImportError as e: print(e)'
    told = run(sys.executable, '-c', code, input='\n'.join(sorted(wanted)))
    return told.stdout.splitlines() + told.stderr.splitlines()[-1:]


def commands():
    "Every console script answers --help."
    for entry in CONFIG['console_scripts'].split():
        name = entry.split('=')[0]
        if not (BIN/name).exists(): yield f'{name} is not installed'; continue
        done = run(BIN/name, '--help')
        if done.returncode or 'usage' not in done.stdout.lower(): yield f'{name} --help: {done.stderr.strip()[-200:]}'


# -- the house around them

#: Required, but imported by another library: name → by which, and for what.
FOR_OTHERS = {'aiohttp': 'fsspec, for https://', 's3fs': 'fsspec, for s3://', 'dask': 'distributed'}
COME_ALONG = {'geff-spec': 'geff'}   #: imported, and brought by another requirement


def requirements():
    "What is required is imported somewhere in the package, and what is imported is required."
    def named(text): return {re.split(r'[<>=!~\[]', r)[0].lower().replace('_', '-') for r in text.split()}
    extras = (text for key, text in CONFIG.items() if key.startswith('extra_'))
    required, imported = set.union(named(CONFIG['requirements']), *map(named, extras)), house.distributions()
    for name in sorted(required - imported - FOR_OTHERS.keys()): yield f'{name} is required, but imported nowhere'
    for name in sorted(imported - required - COME_ALONG.keys()): yield f'{name} is imported, but not required'


def repository():
    "No path of one machine and no binary data in what is committed; one version everywhere."
    for name in run('git', 'ls-files', '-co', '--exclude-standard').stdout.splitlines():
        path = ROOT/name
        if name.startswith('nucleus_cls/checkpoints/'):       # the networks that come along
            if path.stat().st_size > 2*2**20: yield f'{name}: larger than 2 MiB'
        elif re.search(r'\.(tiff?|np[yz]|h5|zarr|klb|mp4|pth?|safetensors)$', name): yield f'{name}: binary data'
        elif path.is_file() and path.suffix not in ('.png', '.gif'):
            for n, row in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
                if re.search(r'(?<![\w.:/])/(work|root|farm)/[a-z]', row): yield f'{name}:{n}: a path of one machine'
    cited = re.search(r'^version: (\S+)', (ROOT/'CITATION.cff').read_text(encoding='utf-8'), re.M)
    if not cited or cited[1] != CONFIG['version']: yield 'CITATION.cff and settings.ini name different versions'


def batch_scripts():
    "The scripts for a SLURM cluster are shell."
    scripts = sorted((ROOT/'slurm').glob('*.sbatch'))
    return [done.stderr for done in (run('bash', '-n', path) for path in scripts) if done.returncode] or (
        [] if scripts else ['slurm/ holds no script'])


def run_batch_scripts():
    "The scripts for a SLURM cluster do their work, here and without SLURM, on a small movie."
    with tempfile.TemporaryDirectory() as folder:
        movie = Path(folder)/'simulated/sim_tiny_s0_01'
        extract, train, predict, video = (ROOT/f'slurm/{k}.sbatch' for k in ('extract', 'train', 'predict', 'video'))
        env = os.environ | {'NUCLEUS_ENV': str(BIN.parent), 'TQDM_DISABLE': '1'}
        for command in ((BIN/'nucleus_simulate', '--preset', 'tiny', '--n_movies', '2'),
                        ('bash', extract, movie, movie.with_name('sim_tiny_s0_02')),
                        ('bash', train, 'samples', '--model', 'cnn', '--num_epochs', '1'),
                        ('bash', predict, 'run', movie),
                        ('bash', video, movie, f'predictions/{movie.name}/predictions.csv')):
            done = run(*command, cwd=folder, env=env)
            if done.returncode: return [f'{command[1]}: {(done.stderr or done.stdout)[-300:]}']
        return [] if (Path(folder)/f'{movie.name}.mp4').stat().st_size else ['the film is empty']


# -- the notebooks run

def complaints(text):
    "What nbdev's test says of failed notebooks: path → error, without other people's frames."
    parts = re.split(r'^\w+ in (/.*\.ipynb):\n=+\n', text, flags=re.M)
    error = [re.sub(r' *File "[^"]*site-packages.*\n(?: {4,}.*\n)*', '', part) for part in parts[2::2]]
    return {Path(path): e.split('nbdev Tests Failed')[0].strip()[-3000:] for path, e in zip(parts[1::2], error)}


def run_nbdev_test(report, flags, n_workers):
    "The plain command of nbdev over all notebooks, a line for each as it ends."
    env = os.environ | {'OMP_NUM_THREADS': str(max(1, (os.cpu_count() or 1)//n_workers)), 'PYTHONUNBUFFERED': '1'}
    command = [BIN/'nbdev_test', '--do_print', '--n_workers', str(n_workers), '--flags', flags]
    started, status = {}, 1
    with tempfile.TemporaryFile('w+', encoding='utf-8') as errors:
        def said(): errors.seek(0); return errors.read()
        with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            watch = Timer(TIMEOUT*len(NOTEBOOKS)/n_workers, process.kill)
            watch.start()
            for row in process.stdout:
                for verb, name in re.findall(r'(Starting|Completed) (.+?\.ipynb)', row):   # two workers may share a row
                    path = Path(name)
                    if verb == 'Starting': started[path] = time.monotonic()
                    elif path in started:
                        seconds, error = time.monotonic() - started.pop(path), complaints(said()).get(path)
                        slow = ' (over the 20 s of the norm)' if seconds > 20 and not flags else ''
                        report.line(f'{path.relative_to(ROOT)}{slow}', seconds, [error] if error else [])
                        yield path
            status = process.wait()
            watch.cancel()
        findings = [f'{p.relative_to(ROOT)} never ended' for p in started]
        report.line('nbdev_test', 0, findings or ([said()[-3000:]] if status else []))


#: Pages for who uses the package; they take minutes, so nbdev_test passes over them and `make test-slow` runs them.
PAGES = [p for p in NOTEBOOKS if p.relative_to(NBS).parts[0] in ('guide', 'tutorials')]


def run_pages(report):
    "Run the pages for users, and compare what they say with what is stored."
    for path in PAGES:
        begin = time.monotonic()
        try: findings = list(execute.compare(str(path)))
        except CellExecutionError as e: findings = [str(e)[-500:]]
        report.line(f'{path.relative_to(ROOT)}, as stored', time.monotonic() - begin, findings)


def run_notebooks(report, flags, n_workers):
    "Run every notebook; none may be left out, or leave a file in the project."
    if 'slow' in flags: run_pages(report)
    def files(): return {p for folder in (ROOT, NBS, *{p.parent for p in NOTEBOOKS}) for p in folder.iterdir()}
    before = files()
    done = set(run_nbdev_test(report, flags, n_workers))
    left = [f'{p.relative_to(ROOT)} was not run' for p in NOTEBOOKS if p not in done and p not in PAGES]
    left += [f'{p.relative_to(ROOT)} was written into the project' for p in sorted(files() - before)]
    report.line('every notebook run, nothing left behind', 0, left)


QUICK = {'every cell has an id': notebooks.ids, 'anatomy of the notebooks': notebooks.anatomy,
         'sizes within the norms': notebooks.sizes, 'imports unmixed': notebooks.imports,
         'words for readers': notebooks.words,
         'stored outputs': notebooks.outputs, 'notebooks clean': clean, 'export in sync, no orphan module': in_sync,
         'ruff': lint, 'light import': light_import, 'modules import silently': silent_modules,
         'commands answer --help': commands, 'scripts find the package': scripts, 'chapters listed': contents.stale, **house.CHECKS, 'requirements are used': requirements,
         'batch scripts': batch_scripts, 'repository': repository, 'README current': readme.stale}


def main(args):
    "Run the checks asked for, in a temporary folder that goes with them; exit status 1 if any failed."
    report = Report()
    with tempfile.TemporaryDirectory(prefix='checks_', ignore_cleanup_errors=True) as scratch:
        os.environ['TMPDIR'] = tempfile.tempdir = scratch
        run_checks(report, args)
    return report.close()


def run_checks(report, args):
    "Run the checks asked for."
    if not args.only_notebooks:
        for name, check in QUICK.items(): report.check(name, check)
    if not args.quick and not args.only_notebooks: report.check('types fit (mypy)', types)
    if 'slow' in args.flags: report.check('batch scripts run', run_batch_scripts)
    if not args.quick: run_notebooks(report, args.flags, args.n_workers)
    if not args.quick and not args.only_notebooks:
        report.check('docs site built', docs.build)
        report.check('links of the docs site', docs.broken_links)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--flags', default='', help='run the cells with these flags too: slow, cuda')
    parser.add_argument('--quick', action='store_true', help='neither run the notebooks nor build the docs')
    parser.add_argument('--only_notebooks', action='store_true', help='only run the notebooks')
    parser.add_argument('--n_workers', type=int, default=2, help='notebooks run side by side')
    sys.exit(main(parser.parse_args()))
