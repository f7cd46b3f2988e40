"""Signatures as a reader looks things up: one line that shows the call, then a table of the parameters with type,
default and meaning. nbdev shows them as code with comments; `tabulate` rewrites that."""
import dataclasses
import inspect
import re
from html import escape
from importlib import import_module

from fastcore.docments import DocmentText, can_render, empty
from fastcore.script import Param

COLUMNS = 'parameter', 'type', 'default', 'meaning'
FENCE = re.compile(r'```python\n.*?```', re.S)
#: Characters of a call; longer ones leave out what has a default.
CALL = 100
#: Characters of a default in the table; of a longer one only the type is shown.
DEFAULT = 70
STARS = {inspect.Parameter.VAR_POSITIONAL: '*', inspect.Parameter.VAR_KEYWORD: '**'}


@dataclasses.dataclass
class Row:
    "What is known of one parameter: its name as written in a call, its type, default and meaning as text."
    name: str
    type: str
    default: str
    meaning: str
    keyword: bool = False


def find_symbol(module, name):
    "The function, class or method that a module's page shows under this name; None where it cannot be called."
    home, _, last = name.rpartition('.')
    owner = import_module(module)
    for part in filter(None, home.split('.')): owner = getattr(owner, part)
    value = inspect.getattr_static(owner, last)
    value = getattr(value, 'fget', None) or getattr(owner, last)
    if not hasattr(value, '__signature__'): value = getattr(value, '__wrapped__', value)
    return value if callable(value) and can_render(value) else None


def name_type(anno):
    "An annotation without the modules of its names: `str | Path`, `list[int]`, `ndarray`."
    if isinstance(anno, Param): anno = anno.type or bool
    if anno in (empty, None, type(None)): return ''   # NoneType: guessed from the default
    text = anno if isinstance(anno, str) else inspect.formatannotation(anno)
    if '_SupportsArray' in text: return 'array_like'   # numpy's ArrayLike, spelt out
    return '' if '<' in text else re.sub(r'\b(?:\w+\.)+(?=\w)', '', text).strip("'")


def name_default(value):
    "A default as one would write it: a function by its name, any other object by that of its class."
    if value is empty: return ''
    text = getattr(value, '__name__', None) or repr(value)
    if text.startswith('<'): return f'{type(value).__name__}()'
    return text if len(text) <= DEFAULT else f'{type(value).__name__}(…)'


def read_field(field):
    "The row of a field of a dataclass that says itself what it means (see `setting`), else None."
    if not field.metadata.get('doc'): return None
    from nucleus_cls.settings import describe_bounds    # only here: this file is read before the package is whole
    meaning = f"{field.metadata['doc']}; {describe_bounds(field)}"
    return Row(field.name, name_type(field.type), name_default(field.default), meaning)


def read_row(name, about, fields, command):
    "The row of one parameter, from its docment, from the field of a dataclass, or from the help of a command."
    field, anno, default = fields.get(name), about.get('anno', empty), about.get('default', empty)
    known = read_field(field) if field else None
    if known: return known
    made = getattr(field, 'default_factory', dataclasses.MISSING)
    shown = name_default(default if made is dataclasses.MISSING else made())
    if command:
        by_place = getattr(anno, 'nargs', None) == '?' or (default is empty and about['kind'] is not inspect.Parameter.KEYWORD_ONLY)
        name = name.upper() if by_place else f'--{name}'
    meaning = about.get('docment') or getattr(anno, 'help', '') or ''
    keyword = about.get('kind') is inspect.Parameter.KEYWORD_ONLY
    return Row(STARS.get(about.get('kind'), '') + name, name_type(anno), shown, meaning, keyword)


def read_rows(symbol):
    "The rows of a signature, and that of what is returned (None where a class is made or nothing is said)."
    about = dict(DocmentText(symbol, docstring=False).dm)
    returns = about.pop('return', None) or {}
    command = any(isinstance(a.get('anno'), Param) for a in about.values())
    fields = {f.name: f for f in dataclasses.fields(symbol)} if dataclasses.is_dataclass(symbol) else {}
    rows = [read_row(name, a, fields, command) for name, a in about.items()]
    last = Row('returns', name_type(returns.get('anno', empty)), '', returns.get('docment') or '')
    return rows, last if (last.type or last.meaning) and not inspect.isclass(symbol) and not command else None


def show_call(shown, symbol, rows, returns):
    "How it is called and the type of what comes back, in one line; a long one leaves out what has a default."
    if any(row.name.startswith('--') for row in rows):
        words = [row.name for row in rows if not row.name.startswith('--')]
        return ' '.join([shown, *words, '[--OPTION VALUE …]'])
    def line(rows, end=()):
        words = [row.name + (f'={row.default}' if row.default else '') for row in rows]
        stars = [i for i, row in enumerate(rows) if row.keyword and not any(r.name.startswith('*') for r in rows)]
        if stars: words.insert(stars[0], '*')
        back = f' -> {returns.type}' if returns and returns.type else ''
        return f"{'class ' if inspect.isclass(symbol) else ''}{shown}({', '.join([*words, *end])}){back}"
    full = line(rows)
    return full if len(full) <= CALL else line([row for row in rows if not row.default], ['…'])


def code(text):
    "Text as code in HTML, where there is any."
    return f'<code>{escape(text, quote=False)}</code>' if text else ''


def prose(text):
    "A comment as HTML: its lines joined, what stands in backticks as code."
    return re.sub(r'`([^`]+)`', r'<code>\1</code>', escape(' '.join(text.split()), quote=False))


def share_rows(rows):
    "Rows in groups: parameters without a comment share that at the end of their line."
    waiting, groups = [], []
    for row in rows:
        waiting.append(row)
        if row.meaning: groups, waiting = [*groups, waiting], []
    return groups + [[row] for row in waiting]


def show_table(rows, returns):
    "The rows as an HTML table, which every Markdown leaves alone; nothing where there are none."
    def line(group, kind=''):
        names = [row.name if kind else code(row.name) for row in group]
        columns = [names, [code(row.type) for row in group], [code(row.default) for row in group]]
        cells = ['<br>'.join(filter(None, column)) for column in columns] + [prose(group[-1].meaning)]
        return f'<tr{kind}>' + ''.join(f'<td>{cell}</td>' for cell in cells) + '</tr>'
    body = [line(group) for group in share_rows(rows)]
    if not any(row.type or row.default or row.meaning for row in rows): body = []   # the call says as much
    if returns and returns.meaning: body.append(line([returns], ' class="returns"'))
    if not body: return ''
    head = '<thead><tr>' + ''.join(f'<th>{name}</th>' for name in COLUMNS) + '</tr></thead>'
    return '\n'.join(['<table class="parameters">', head, '<tbody>', *body, '</tbody></table>'])


def tabulate(text, module, name):
    """nbdev's documentation of a name, with the comments of its signature as a table below the sentence that says what
    it does; unchanged where there is nothing to call."""
    symbol = find_symbol(module, name)
    if symbol is None: return text
    rows, returns = read_rows(symbol)
    call = show_call(name, symbol, rows, returns)
    text = FENCE.sub(lambda m: f'```python\n{call}\n```', text, count=1)
    text = re.sub(r'^#+ .*__.*$', lambda m: m[0].replace('_', r'\_'), text, flags=re.M)   # bold it would be
    return '\n\n'.join(filter(None, [text.rstrip(), show_table(rows, returns)]))
