"""The structure of the package, read from its source: packages stand in the order of their folders in nbs/, a name has
one home, functions are verbs, what crosses a package's wall says its types. `python tools/house.py PACKAGE` lists what
is wrong in one package."""
import ast
import re
import sys
from collections import defaultdict
from importlib import import_module
from importlib.metadata import packages_distributions

from notebooks import NBS, NOTEBOOKS, ROOT, module_of

PACKAGE = ROOT/'nucleus_cls'
#: The names of `nucleus_cls` itself, as `places` calls the module that holds them.
FRONT_DOOR = '__init__'
#: Words that name no deed, and so no function.
NO_VERBS = set('''why plainly inside told counted corrected scored found watched moved hat level few stripes workshop
                  debris see'''.split())
MOST = 'MOST_'   # say MAX_
LAMBDA = 60      # characters of a lambda that has a name
#: Calls that change something, which a lambda with a name should not hide.
EFFECTS = {'append', 'extend', 'insert', 'update', 'setdefault', 'pop', 'remove', 'clear', 'add', 'discard', 'write',
           'write_text', 'write_bytes', 'unlink', 'mkdir', 'setattr', 'print', '__setitem__', 'sort', 'fill', 'close'}


# -- the modules

def modules():
    "The dotted name of every module, as Python imports it."
    paths = sorted(p for p in PACKAGE.glob('**/*.py') if not p.stem.startswith('_'))
    return ['.'.join(p.relative_to(ROOT).with_suffix('').parts) for p in paths]


def places():
    "{module: (number of its package, number in it)}: where it stands in the reading order."
    numbers = {}
    for path in NOTEBOOKS:
        parts = [re.match(r'(\d+)_', part) for part in path.relative_to(NBS).parts]
        if all(parts): numbers[module_of(path)] = tuple(int(m[1]) for m in parts)
    return {name: at if len(at) == 2 else (0, at[0]) for name, at in numbers.items()}


def trees():
    "{module: its syntax tree}, in the reading order; the front door, where there is one, last."
    found, at = {}, places()
    for module in [*sorted(at, key=at.get), FRONT_DOOR]:
        path = PACKAGE.joinpath(*module.split('.')).with_suffix('.py')
        if path.exists(): found[module] = ast.parse(path.read_text(encoding='utf-8'))
    return found


def origin(node, module):
    "Which of our modules an `import from` of the module speaks of, '' for the package itself; None for a library's."
    if not node.level:
        name = node.module or ''
        return name.removeprefix('nucleus_cls').strip('.') if name.split('.')[0] == 'nucleus_cls' else None
    home = ['nucleus_cls', *module.split('.')][:-node.level]
    return '.'.join([*home[1:], *filter(None, [node.module])])


# -- imports

def strings(tree):
    "(line, dotted name without `nucleus_cls.`) of every string that names a place in our package."
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(r'nucleus_cls(\.\w+)+(:\w+)?', node.value):
                yield node.lineno, node.value.removeprefix('nucleus_cls.').replace(':', '.')


def imported(tree, module):
    "Names of our modules that a module's syntax tree imports: at its top, inside functions or by string."
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            name = origin(node, module)
            if name is None: continue
            yield name
            yield from (f'{name}.{alias.name}'.strip('.') for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix('nucleus_cls.') for a in node.names if a.name.startswith('nucleus_cls.'))
    for _, name in strings(tree):                            # of a class too: the module is a part of the string
        parts = name.split('.')
        yield from ('.'.join(parts[:n]) for n in range(1, len(parts) + 1))


def layers():
    "A package imports only packages before it, a module only modules before it."
    at = places()
    for module, tree in trees().items():
        if module == FRONT_DOOR: continue
        for name in sorted(set(imported(tree, module)) & at.keys() - {module}):
            if at[name] >= at[module]:
                yield f'{module} imports {name}, which comes later: {at[name]} after {at[module]}'


def named_imports():
    "Nothing but the front door names our modules in a string, or makes such a name: `from … import` says it."
    for module, tree in trees().items():
        if module == FRONT_DOOR: continue
        for line, name in strings(tree):
            if name.split('.')[0] in {m.split('.')[0] for m in places()}:
                yield f'{module}:{line} names {name} in a string'
        for node in ast.walk(tree):
            made = isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant)
            if made and str(node.values[0].value).startswith('nucleus_cls.'):
                yield f'{module}:{node.lineno} makes the name of a module: {ast.unparse(node)}'


def front_door():
    "Inside the package nobody imports from the front door; all its public names are there."
    rooms = {m.split('.')[0] for m in places()} | {'_modidx', '__version__'}
    for module, tree in trees().items():
        for node in ast.walk(tree):
            if module != FRONT_DOOR and isinstance(node, ast.ImportFrom) and origin(node, module) == '':
                for alias in node.names:
                    if alias.name not in rooms: yield f'{module}:{node.lineno} imports {alias.name} from the front door'
    door = import_module('nucleus_cls')
    for name in getattr(door, '__all__', []):
        try: getattr(door, name)
        except Exception as e: yield f'nucleus_cls.{name}: {type(e).__name__}: {e}'


# -- names

def public(tree):
    "The names a module offers: its `__all__`, which nbdev writes."
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == '__all__':
            return ast.literal_eval(node.value)
    return []


def homes():
    "No public name is defined in two modules: links of the docs lead to one, and readers to the other."
    where = defaultdict(list)
    for module, tree in trees().items():
        if module == FRONT_DOOR: continue
        for name in public(tree): where[name].append(module)
    return [f"{name} is defined in {' and '.join(found)}" for name, found in sorted(where.items()) if len(found) > 1]


def words():
    "Functions are called by verbs."
    for module, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name.strip('_') in NO_VERBS:
                yield f'{module}:{node.lineno} {node.name} is no name for a function'
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id.startswith(MOST):
                yield f"{module}:{node.lineno} {node.id}: say MAX_{node.id.removeprefix(MOST)}"


# -- density

def hidden_lambda(node):
    "What is wrong with an assignment of a lambda to a name."
    for value in (node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]):
        if not isinstance(value, ast.Lambda): continue
        if len(ast.unparse(value)) > LAMBDA: yield f'a named lambda of over {LAMBDA} characters: {ast.unparse(node)}'
        called = {getattr(n.func, 'attr', getattr(n.func, 'id', '')) for n in ast.walk(value.body)
                  if isinstance(n, ast.Call)}
        if called & EFFECTS or any(isinstance(n, ast.NamedExpr) for n in ast.walk(value)):
            yield f'a named lambda with an effect: {ast.unparse(node)}'


def shape(node):
    "The form of a value, coarsely: values alike have the same."
    if isinstance(node, (ast.Constant, ast.Name, ast.Attribute)): return 'plain'
    empty = not list(ast.iter_child_nodes(node))[1:]
    if isinstance(node, (ast.List, ast.Dict, ast.Set, ast.Tuple)) and empty: return 'plain'
    if isinstance(node, ast.Subscript): return 'part', ast.unparse(node.value)
    if isinstance(node, ast.Call): return 'call', ast.unparse(node.func)
    return type(node).__name__


def many_at_once(node):
    "What is wrong with an assignment of several values to several names."
    if not (isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)): return
    if len(node.value.elts) > 2 and len({shape(value) for value in node.value.elts}) > 1:
        yield f'{len(node.value.elts)} unlike values on one line: {ast.unparse(node)}'


def habits(tree, rows):
    "(line, what is wrong) with the lines of a module."
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for found in (*hidden_lambda(node), *many_at_once(node)): yield node.lineno, found
        elif isinstance(node, ast.If):
            for block in (node.body, node.orelse):
                first = block[0] if block else None
                if isinstance(first, ast.Raise) and first.end_lineno > first.lineno:
                    row = rows[first.lineno - 1][:first.col_offset].strip()
                    if row.endswith(':'): yield first.lineno, f'`{row} raise …` goes on in the next line'


def density():
    "Three habits that make a page hard to read: see `Density` in CONTRIBUTING.md."
    for module, tree in trees().items():
        path = PACKAGE.joinpath(*module.split('.')).with_suffix('.py')
        for line, what in sorted(habits(tree, path.read_text(encoding='utf-8').splitlines())):
            yield f"{module}:{line} {' '.join(what.split())[:150]}"


# -- types

def without_types(node):
    "The parameters of a function that say no type, and `return`."
    a = node.args
    named = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, [a.vararg, a.kwarg])]
    missing = [arg.arg for arg in named if arg.annotation is None and arg.arg not in ('self', 'cls')]
    starred = {arg.arg for arg in (a.vararg, a.kwarg) if arg}
    missing = [name for name in missing if name not in starred]
    return missing + (['return'] if node.returns is None and node.name != '__init__' else [])


def borders():
    "{(module, name): the packages that import it}, for names that cross the wall of a package."
    found = defaultdict(set)
    for module, tree in trees().items():
        for node in ast.walk(tree):
            source = origin(node, module) if isinstance(node, ast.ImportFrom) else None
            if not source or source.split('.')[0] == module.split('.')[0]: continue
            for alias in node.names: found[source, alias.name].add(module.split('.')[0])
    return found


def typed():
    "What crosses the wall of a package says the types of its arguments and of what it returns."
    known, cross = trees(), borders()
    for module, tree in known.items():
        if module.split('.')[0] == 'cli': continue
        for node in tree.body:
            if (module, getattr(node, 'name', None)) not in cross: continue
            functions = [node] if isinstance(node, ast.FunctionDef) else []
            if isinstance(node, ast.ClassDef):
                functions = [n for n in node.body if isinstance(n, ast.FunctionDef) and not n.name.startswith('_')]
            for function in functions:
                if any(getattr(d, 'id', '') == 'delegates' for d in function.decorator_list): continue
                missing = without_types(function)
                owner = f'{node.name}.' if isinstance(node, ast.ClassDef) else ''
                if missing: yield f"{module}:{function.lineno} {owner}{function.name}: no type for {', '.join(missing)}"


# -- libraries

def distributions():
    "The names, as pip knows them, of all libraries that the package imports, at its top, in functions or by `import_extra`."
    brings, found = packages_distributions(), set()
    for tree in trees().values():
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import): names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level: names = [node.module]
            elif isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'import_extra':
                names = [node.args[0].value]
            for name in {n.split('.')[0] for n in names} - sys.stdlib_module_names - {'nucleus_cls'}:
                found.update(d.lower().replace('_', '-') for d in brings.get(name, [name]))
    return found


#: What is asked of the source, a check each.
CHECKS = {'imports run one way': layers, 'no import by string': named_imports, 'front door': front_door,
          'a name has one home': homes, 'functions are verbs': words, 'density': density, 'types at the walls': typed}


if __name__ == '__main__':
    for title, check in CHECKS.items():
        asked = tuple(sys.argv[1:])
        found = [text for text in check() if not asked or check is homes or text.startswith(asked)]
        print(f'{title}: {len(found)}', *found, sep='\n    ')
