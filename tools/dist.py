"""Build wheel and sdist as a user's pip would, install the wheel into a bare environment and use it there: all packages,
the network that comes along, the commands; then build the wheel from the sdist again."""
import configparser
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

from report import Report

ROOT = Path(__file__).resolve().parent.parent
CONFIG = configparser.ConfigParser(delimiters=['='])
CONFIG.read(ROOT/'settings.ini', encoding='utf-8')
USE = '''
import importlib, pkgutil
import nucleus_cls
for module in pkgutil.walk_packages(nucleus_cls.__path__, "nucleus_cls."): importlib.import_module(module.name)
from nucleus_cls import open_run
print(nucleus_cls.__version__, *open_run("pretrained").states)
'''


def run(*command, **kw):
    "Run a command; its complaint, as a list, if it failed."
    done = subprocess.run(command, capture_output=True, text=True, check=False, **kw)
    return [] if not done.returncode else [(done.stdout + done.stderr).strip()[-1500:]]


def build(out, source=ROOT):
    "Build both distributions of a source tree in environments of their own."
    return run(sys.executable, '-m', 'build', '--outdir', out, source)


def contents(out):
    "Both hold every module and the network; the sdist also what it is built from."
    wheel, sdist = next(out.glob('*.whl')), next(out.glob('*.tar.gz'))
    with zipfile.ZipFile(wheel) as held: names = set(held.namelist())
    with tarfile.open(sdist) as held: source = {name.partition('/')[2] for name in held.getnames()}
    ours = {p.relative_to(ROOT).as_posix() for p in (ROOT/'nucleus_cls').glob('**/*')
            if p.is_file() and '__pycache__' not in p.parts}
    for name in sorted(ours - names): yield f'{name} is not in the wheel'
    for name in sorted(ours | {'settings.ini', 'setup.py', 'LICENSE', 'README.md'} - source):
        if name not in source: yield f'{name} is not in the sdist'


def bare(out, tmp):
    "The wheel installs into a bare environment, and works there, away from the source."
    python = tmp/'venv'/'bin'/'python'
    env = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    return (run(sys.executable, '-m', 'venv', tmp/'venv')
            or run(python, '-m', 'pip', 'install', '-qq', '-c', ROOT/'constraints.txt', next(out.glob('*.whl')))
            or run(python, '-c', USE, cwd=tmp, env=env)
            or [found for entry in CONFIG['DEFAULT']['console_scripts'].split()
                for found in run(python.parent/entry.split('=')[0], '--help', cwd=tmp, env=env)])


if __name__ == '__main__':
    report, start = Report(), time.monotonic()
    with tempfile.TemporaryDirectory() as tmp:
        tmp, out = Path(tmp), Path(tmp)/'dist'
        report.check('wheel and sdist are built', build, out)
        if not report.failed:
            report.check('both are complete', contents, out)
            report.check('the wheel works in a bare environment', bare, out, tmp)
    sys.exit(report.close())
