"""Run notebooks from top to bottom and store what they show: `make run NB=nbs/02_lineage/06_states.ipynb`. Cells with a flag
(slow, cuda, validate) keep what they showed unless --flags names theirs; progress bars and warnings are not stored."""
import argparse
import os
import re
import sys

import nbformat
from nbclient import NotebookClient
from notebooks import NOTEBOOKS

FLAG = re.compile(r'^#\|\s*(slow|cuda|validate)\b', re.M)
WIDGET = 'application/vnd.jupyter.widget-view+json'


def worth_storing(output):
    "Whether a reader of the docs should see an output."
    return output.get('name') != 'stderr' and WIDGET not in output.get('data', {})


def execute(path, flags=()):
    "Run a notebook in place."
    nb, kept = nbformat.read(path, as_version=4), {}
    for cell in nb.cells:
        flag = FLAG.search(cell.source)
        skipped = cell.cell_type == 'code' and ((flag and flag[1] not in flags) or 'nbdev_export()' in cell.source)
        if skipped: kept[cell.id], cell.source = (cell.source, cell.outputs), ''
    home = {'metadata': {'path': os.path.dirname(os.path.abspath(path))}}
    NotebookClient(nb, timeout=1800, kernel_name='python3', resources=home).execute()
    for cell in nb.cells:
        if cell.id in kept: cell.source, cell.outputs = kept[cell.id]
        elif cell.cell_type == 'code': cell.outputs = [out for out in cell.outputs if worth_storing(out)]
    nb.metadata.pop('widgets', None)
    nbformat.write(nb, path)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('notebooks', nargs='*', help='their paths; none: all')
    parser.add_argument('--flags', default='', help='run the cells with these flags too, A,B')
    args = parser.parse_args()
    for path in args.notebooks or NOTEBOOKS:
        execute(path, args.flags.split(','))
        print(path, flush=True)
    sys.exit(os.system(f'{os.path.join(os.path.dirname(sys.executable), "nbdev_clean")}') and 1)
