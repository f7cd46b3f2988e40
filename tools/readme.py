"Make README.md of nbs/index.ipynb: the same bytes everywhere, with or without Quarto."
import difflib
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def in_root(text):
    "Point links and pictures that are relative to nbs/ at nbs/, as seen from the root."
    return re.sub(r'(\]\(|src="|href=")(?!\w+:|/|#|\.\./)', r'\1nbs/', text).replace('](../', '](')


def code(cell, source):
    "A code cell as a fenced block, its text outputs as a second one; pictures belong into nbs/images/."
    yield f'```python\n{source}\n```'
    for out in cell['outputs']:
        text = out.get('text') or out.get('data', {}).get('text/plain', '')
        if any(kind.startswith('image/') for kind in out.get('data', {})):
            raise ValueError('index.ipynb: README.md cannot show a picture in an output; save it in nbs/images/, show that')
        yield f"```text\n{''.join(text).rstrip()}\n```"


def convert(nb):
    "The README's text for a notebook's JSON: prose as it is, shown code in fences, hidden cells left out."
    parts = ['<!-- Made of nbs/index.ipynb by `make readme`; edit the notebook, not this file. -->']
    for cell in nb['cells']:
        source = ''.join(cell['source']).strip()
        hidden = re.search(r'^#\|\s*(hide|include:\s*false)\b', source, re.M)
        if not source or hidden or cell['cell_type'] == 'raw': continue
        if cell['cell_type'] == 'markdown': parts.append(in_root(source))
        else: parts += code(cell, re.sub(r'^#\|.*\n', '', source, flags=re.M))
    return '\n\n'.join(parts) + '\n'


def stale():
    "What differs between README.md and the notebook it is made of; empty when it is current."
    new, target = convert(json.loads((ROOT/'nbs/index.ipynb').read_text(encoding='utf-8'))), ROOT/'README.md'
    old = target.read_bytes().decode('utf-8') if target.exists() else ''
    if old == new: return []
    diff = difflib.unified_diff(old.splitlines(), new.splitlines(), 'README.md', 'index.ipynb', lineterm='', n=0)
    return ['README.md is not what nbs/index.ipynb gives: run `make readme`', *list(diff)[:12]]


if __name__ == '__main__':
    text = convert(json.loads((ROOT/'nbs/index.ipynb').read_text(encoding='utf-8')))
    (ROOT/'README.md').write_bytes(text.encode('utf-8'))
    print(f'README.md: {len(text.splitlines())} lines')
