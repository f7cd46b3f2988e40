"""Run notebooks from top to bottom and store what they show: `make run NB=nbs/02_lineage/06_states.ipynb`. Cells with a flag
(slow, cuda, validate) keep what they showed unless --flags names theirs; progress bars and warnings are not stored.
With --compare nothing is stored: what the notebooks say is compared with what is stored, numbers within a tenth."""
import argparse
import os
import re
import sys
import tempfile
from itertools import zip_longest

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from notebooks import NOTEBOOKS

FLAG = re.compile(r'^#\|\s*(slow|cuda|validate)\b', re.M)
WIDGET = 'application/vnd.jupyter.widget-view+json'


def worth_storing(output):
    "Whether a reader of the docs should see an output."
    return output.get('name') != 'stderr' and WIDGET not in output.get('data', {})


def leave_picture(output):
    "Of a widget that comes with a picture of itself, leave the picture, which needs no kernel."
    if 'image/png' in output.get('data', {}): output['data'].pop(WIDGET, None)
    return output


def join_streams(outputs):
    "What a cell printed as one output, where the kernel cut it into pieces."
    joined = []
    for out in outputs:
        last = joined[-1] if joined else {}
        if out['output_type'] == 'stream' and last.get('name') == out['name']: last['text'] += out['text']
        else: joined.append(out)
    return joined


def texts(nb):
    "What each cell of a notebook says: lists of words, numbers as numbers; not how many milliseconds it took."
    for cell in nb.cells:
        outs = cell.get('outputs', ()) if 'cpu_count' not in cell.source else ()
        said = ' '.join(''.join(o.get('text') or o.get('data', {}).get('text/plain', '')) for o in outs)
        yield [word for word in re.split(r'(-?\d+(?:[.,]\d+)*)|\s+', re.sub(r'0x[0-9a-f]+|/tmp/\S+|\d+ ms\b', '', said)) if word]


def alike(a, b):
    "Whether two words are the same, or numbers within a tenth of each other."
    if a == b: return True
    try: x, y = (float(w.replace(',', '')) for w in (a, b))
    except (ValueError, AttributeError): return False
    return abs(x - y) <= .1*max(abs(x), abs(y)) + .02


def compare(path, flags=()):
    "Run a copy of a notebook beside it; a line for each cell that says something else than what is stored."
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(os.path.abspath(path)), prefix='.compare_', suffix='.ipynb') as copy:
        nb = nbformat.read(path, as_version=4)
        nbformat.write(nb, copy.name)
        try: execute(copy.name, flags)
        except CellExecutionError as error:
            yield f'{path} does not run: {str(error).strip().splitlines()[-1]}'
            return
        for index, (old, new) in enumerate(zip(texts(nb), texts(nbformat.read(copy.name, as_version=4)), strict=True)):
            other = [(a, b) for a, b in zip_longest(old, new) if not alike(a, b)]
            if other: yield f'{path}, cell {index}: {len(other)} of {len(old)} words differ, such as {other[0]}'


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
        elif cell.cell_type == 'code':
            cell.outputs = join_streams(out for out in map(leave_picture, cell.outputs) if worth_storing(out))
    nb.metadata.pop('widgets', None)
    nbformat.write(nb, path)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('notebooks', nargs='*', help='their paths; none: all')
    parser.add_argument('--flags', default='', help='run the cells with these flags too, A,B')
    parser.add_argument('--compare', action='store_true', help='store nothing; tell what has changed')
    args = parser.parse_args()
    if args.compare:
        found = 0
        for row in (row for path in args.notebooks or NOTEBOOKS for row in compare(path, args.flags.split(','))):
            print(row, flush=True)
            found += 1
        sys.exit(bool(found))
    for path in args.notebooks or NOTEBOOKS:
        execute(path, args.flags.split(','))
        print(path, flush=True)
    sys.exit(os.system(f'{os.path.join(os.path.dirname(sys.executable), "nbdev_clean")}') and 1)
