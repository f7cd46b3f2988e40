"Build the site in _docs/: nbdev prepares the notebooks, Quarto renders them where it is on PATH, else smalldocs."
import ast
import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nbdev.config import get_config
from notebooks import NBS
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from signatures import tabulate

ROOT = Path(__file__).resolve().parent.parent
PROC, SITE = ROOT/'_proc', ROOT/'_docs'
SCRIPT = 'site.js'
BESIDE = 'CONTRIBUTING.md', 'CHANGELOG.md', 'LICENSE', 'CITATION.cff'  # files of the root that pages link to


def url_of(path):
    "nbdev's address of a notebook's page: its path from nbs/ without suffix and without the number of the file."
    name = path.relative_to(PROC).with_suffix('')
    return name.with_name(re.sub(r'^\d+[a-z]?_', '', name.name)).as_posix()


def relative_links(text, pages, here):
    """In the text of a prepared notebook in the folder `here`: nbdev's absolute links to our own pages become
    relative, those to code lead to its page in the site, those to files of the root stay in the site."""
    cfg = get_config()
    home = re.escape(f"{cfg['doc_host']}{cfg['doc_baseurl'].rstrip('/')}/")
    def page(m): return os.path.relpath(pages[m[1]], here) if m[1] in pages else m[0]
    text = re.sub(home + r'([\w/]+)\.html', page, text)
    root = os.path.relpath(PROC, here)
    text = re.sub(r'\]\((?:\.\./)+(' + '|'.join(map(re.escape, BESIDE)) + r')\)', rf']({root}/\1)', text)
    text = re.sub(r'\[\[(`[^`\]]+`)\]\([^)]*\)\]\(', r'[\1](', text)   # a name within a link is no link of its own
    def plain(m): return re.sub(r'\[`([^`\]]+)`\]\([^)]*\)', r'\1', m[0])
    text = re.sub(r'```python\n.*?```', plain, text, flags=re.S)
    source = re.escape(cfg['git_url']) + rf"/blob/{cfg['branch']}/([\w/]+)\.py#L(\d+)"
    return re.sub(rf'{source}(?:\)\{{.*?\}})?', lambda m: f'{root}/source/{m[1]}.html#line-{m[2]}'
                  + ')'*m[0].endswith('}'), text)


def show_parameters(source, text):
    "The documentation of a name that a cell shows, its parameters in a table; any other output as it is."
    shown, library = re.search(r'^show_doc\(([\w.]+)\)$', source, re.M), get_config()['lib_path'].name
    home = re.search(rf'/source/({library}[\w/]*)\.html#line-', text)      # not there: of the package itself
    return tabulate(text, home[1].replace('/', '.') if home else library, shown[1]) if shown else text


def fold_imports(source):
    "A code cell that does nothing but import, folded below the word Imports; any other as it is."
    try: only = [isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.parse(source).body]
    except SyntaxError: return source        # a shell command
    return f'#| code-fold: true\n#| code-summary: Imports\n{source}' if only and all(only) else source


def local_notebook(nb, pages, here):
    "Rewrite a prepared notebook's prose and shown documentation in place; keep the notebook's name as the page's."
    def mend(text): return relative_links(''.join(text), pages, here)
    for cell in nb['cells']:
        if cell['cell_type'] in ('raw', 'markdown'): cell['source'] = mend(cell['source'])
        if cell['cell_type'] == 'code': cell['source'] = fold_imports(''.join(cell['source']))
        if cell['cell_type'] == 'raw': cell['source'] = re.sub(r'^output-file:.*\n', '', cell['source'], flags=re.M)
        for out in cell.get('outputs', []):
            data = out.get('data', {})
            if 'text/markdown' in data:
                data['text/markdown'] = show_parameters(''.join(cell['source']), mend(data['text/markdown']))


def open_with_picture(nb, path):
    "Let a chapter begin with what it arrives at: its last picture after its first words, unless it is near anyway."
    def starts(cell): return cell['cell_type'] == 'code' or ''.join(cell['source']).startswith('## ')
    first = next((i for i, cell in enumerate(nb['cells']) if starts(cell)), None)
    shown = [(i, out['data']['image/png']) for i, cell in enumerate(nb['cells'])
             for out in cell.get('outputs', []) if 'image/png' in out.get('data', {})]
    if not shown or shown[-1][0] < first + 4: return
    picture = path.with_suffix('.png')
    picture.write_bytes(base64.b64decode(''.join(shown[-1][1])))
    words = f'![What this chapter arrives at]({picture.name}){{.lead fig-align="left"}}'
    nb['cells'].insert(first, {'cell_type': 'markdown', 'metadata': {}, 'source': words})


def prepare():
    "Run nbdev's own preprocessing into _proc/; return what it complained of."
    env = {k: v for k, v in os.environ.items() if k != 'VIRTUAL_ENV'}    # of another activated one IPython warns
    done = subprocess.run([sys.executable, '-c', 'from nbdev.serve import proc_nbs; proc_nbs(force=True)'],
                          cwd=ROOT, capture_output=True, text=True, check=False, env=env)
    said = re.sub(r'\x1b\[[0-9;]*m', '', done.stdout + done.stderr)
    if done.returncode:   # the cell that failed, and why
        return [said[said.rfind('\nException: ') + 1:].strip()[-1500:], *re.findall(r'^\w+Error: .*', said, re.M)[:1]]
    for name in BESIDE:   # the book is the root of the site
        text = (ROOT/name).read_text(encoding='utf-8').replace('](nbs/', '](')
        (PROC/name).write_text(text, encoding='utf-8')
    notebooks = sorted(PROC.glob('**/*.ipynb'))
    pages = {url_of(path): path for path in notebooks}
    for path in notebooks:
        nb = json.loads(path.read_text(encoding='utf-8'))
        local_notebook(nb, pages, path.parent)
        if path.parent.name[:2].isdigit(): open_with_picture(nb, path)
        path.write_text(json.dumps(nb), encoding='utf-8')
    return [row for row in said.splitlines() if re.search(r'Warning|Error\b|imports and other code', row)]


def build():
    "Build the site and return what was wrong on the way; an old site never passes for the new one."
    shutil.rmtree(SITE, ignore_errors=True)
    findings = prepare()
    if findings: return findings
    quarto = shutil.which('quarto')
    command = [quarto, 'render'] if quarto else [sys.executable, '-m', 'smalldocs.cli', 'render', '--quiet', '--strict']
    done = subprocess.run([*command, str(PROC)], capture_output=True, text=True, check=False)
    if done.returncode: findings += [row for row in done.stderr.splitlines() if ': broken link ' not in row]
    if not (PROC/'_docs').is_dir(): return findings + ['no site was built']
    shutil.move(PROC/'_docs', SITE)
    findings += finish()
    write_sources()
    return findings


#: The look of the pages of plain code, light and dark.
SOURCE_LOOK = """:root { color-scheme: light; background: #fff; color: #212529; }
:root.quarto-dark { color-scheme: dark; background: #0d1117; color: #e6edf3; }
body { margin: 1rem; font-family: system-ui, sans-serif; }
h1 { font-size: 1.2rem; }
.source { overflow-x: auto; }
.sourcetable { border-spacing: 0; }
.sourcetable pre { font-size: .85rem; line-height: 1.4; margin: 0; }
.source .linenos a { color: #6a737d; text-decoration: none; padding-right: 1rem; user-select: none; }
html.quarto-dark .source .linenos a { color: #8b949e; }"""
SOURCE_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title><link rel="stylesheet" href="{root}/source/source.css"><script src="{root}/site.js"></script></head>
<body><h1>{name}</h1>
{code}</body></html>
"""


def write_sources():
    "A page for each module with its code, a line an anchor; `[source]` leads there."
    look = HtmlFormatter(linenos='table', lineanchors='line', anchorlinenos=True, cssclass='source')
    for path in sorted((ROOT/get_config()['lib_path']).glob('**/*.py')):
        name = path.relative_to(ROOT)
        page = SITE/'source'/name.with_suffix('.html')
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(SOURCE_PAGE.format(
            name=name.as_posix(), root=os.path.relpath(SITE, page.parent),
            code=highlight(path.read_text(encoding='utf-8'), PythonLexer(), look)), encoding='utf-8')
    rules = [rule for style, where in (('default', '.source'), ('github-dark', 'html.quarto-dark .source'))
             for rule in HtmlFormatter(style=style).get_style_defs(where).splitlines() if rule.startswith(where)]
    (SITE/'source'/'source.css').write_text('\n'.join([*rules, SOURCE_LOOK]), encoding='utf-8')


def add_to_head(text, here):
    "A page with our script in its head, where it acts before anything is painted."
    script = f'<script src="{os.path.relpath(SITE/SCRIPT, here)}"></script>'
    return text.replace('</head>', script + '</head>', 1)


def offer_notebook(text, name):
    "A page with a link below its title to its notebook, which lies beside it."
    link = f'<p class="page-tools"><a href="{name}" download>Download as a notebook</a></p>'
    title = re.compile(r'(<header id="title-block-header".*?)(</header>)', re.S)
    return title.sub(lambda m: m[1] + link + m[2], text, count=1)


def finish():
    """What Quarto and smalldocs leave to us, on each page: our script and the notebook to download; beside them the
    words of the search as a script, for a browser that opens files. Returns the pages that would not take it."""
    shutil.copy2(NBS/SCRIPT, SITE)
    findings = []
    for page in sorted(SITE.glob('**/*.html')):
        text = add_to_head(page.read_text(encoding='utf-8'), page.parent)
        notebook = NBS/page.relative_to(SITE).with_suffix('.ipynb')
        if notebook.exists():
            shutil.copy2(notebook, page.parent)
            text = offer_notebook(text, notebook.name)
        if SCRIPT not in text or (notebook.exists() and 'class="page-tools"' not in text):
            findings.append(f'{page.relative_to(SITE)}: neither head nor title to add to')
        page.write_text(text, encoding='utf-8')
    index = SITE/'search.json'
    if index.exists():
        (SITE/'search.js').write_text(f"window.nucleusSearch = {index.read_text(encoding='utf-8')};", encoding='utf-8')
    return findings


class Page(HTMLParser):
    "The links and the anchors of one page."
    def __init__(self, path):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attrs):
        for key, value in attrs:
            if key in ('id', 'name'): self.ids.add(value)
            if key in ('href', 'src') and value: self.links.append(value)


def broken_links():
    "Every link of every page to a file or an anchor that is not there (other sites are not visited)."
    pages = {path.resolve(): Page(path) for path in sorted(SITE.glob('**/*.html'))}
    own = get_config()['doc_host']
    broken = defaultdict(set)
    for path, page in pages.items():
        for link in page.links:
            url = urlsplit(link)
            if link.startswith(own): broken[link].add(path.name)    # a page of ours, asked of a host
            if url.scheme or url.netloc: continue
            target = (path.parent/unquote(url.path)).resolve() if url.path else path
            if target.is_dir(): target = target/'index.html'
            anchored = not url.fragment or target not in pages or unquote(url.fragment) in pages[target].ids
            if not target.exists() or not anchored: broken[link].add(path.name)
    if not pages: return ['no pages in _docs/']
    return [f"{link} leads nowhere, on {len(names)} pages: {', '.join(sorted(names)[:3])}"
            for link, names in sorted(broken.items())]


if __name__ == '__main__':
    findings = build() + broken_links()
    for finding in findings: print(finding)
    print(f"_docs/index.html: {len(list(SITE.glob('**/*.html')))} pages, {len(findings)} findings")
    sys.exit(bool(findings))
